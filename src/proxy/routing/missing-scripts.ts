/**
 * Scripts that a node does not know while the cache does: one that joined after SCRIPT LOAD, took over, or began anew. To
 * the client the cache is one server, and it has loaded the script there; so it is brought.
 *
 *   EVALSHA       -NOSCRIPT ──────────────────┐
 *   MULTI..EXEC   before it is sent: there? ──┴─> SCRIPT SHOW at the node, at the others, known here, known to other
 *                                                 proxies ─> SCRIPT LOAD at the node ─> the request (once more)
 *
 * A transaction cannot be taken back once it has run in part, so its scripts are seen to before, and again wherever a moved
 * slot leads it. What a node has said that it has is remembered until the connection to it is lost or scripts are flushed.
 *
 * It is done here, on demand, and not by whoever makes a node join, as with functions: the engine does not list scripts, only
 * shows one by its name, and the names are in the requests. A script that was flushed stays unknown: a node that had it and
 * has it no more has been told to forget it. Whose error NOSCRIPT is is asked, not guessed: a script that ends with these
 * words of its own has run, and is at the node.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RespError, type RespValue } from '../../protocol/resp-value.ts';
import type { NodeMap } from './node-map.ts';
import type { Request } from './request.ts';
import { ScriptBodies } from './script-bodies.ts';

export interface MissingScriptsParts {
  readonly map: NodeMap;
  /** Null when the node does not answer in time. */
  readonly question: (
    node: number,
    args: readonly (string | Uint8Array)[],
  ) => Promise<RespValue | null>;
  /** What other proxies know; null: nothing. */
  readonly peerScript: (sha: string) => Promise<Uint8Array | null>;
  readonly deadlineMs: () => number;
}

/** Of one script for one node. `here`: it was there when the request was sent; `nowhere`: nobody has it, or the node does not answer. */
export interface ScriptSearch {
  readonly state: 'searching' | Outcome;
}

type Outcome = 'here' | 'brought' | 'nowhere';

interface Search {
  state: ScriptSearch['state'];
  readonly startedMs: number;
  endedMs: number;
  ended: Promise<void>;
}

interface Presence {
  /** The node has said so; false: it was told to load it. */
  readonly said: boolean;
  /** Known since (performance.now()). */
  readonly sinceMs: number;
}

/** A client that has been told so loads it itself; until then everyone is told so at once. */
const REMEMBER_MS = 1000;
const SEARCHES_MAXIMUM = 1000;
/** Scripts remembered as being at one node. */
const PRESENT_MAXIMUM = 10_000;
/** Between two tries to ask a node that does not answer. */
const PAUSE_MS = 50;
/** No answer to a question about scripts. */
const NOT_NOW: ReadonlySet<string> = new Set([
  'BUSY', 'CLUSTERDOWN', 'INDOUBT', 'LOADING', 'MASTERDOWN', 'NODELOST',
]); // prettier-ignore
/** EVALSHA, EVALSHA_RO and SCRIPT SHOW up to the script's name; CLIENT CACHING may stand before. */
const SHA1 =
  /^(?:\*3\r\n\$6\r\nclient\r\n\$7\r\ncaching\r\n\$\d\r\n\w+\r\n)?\*\d+\r\n\$\d+\r\n(?:evalsha(?:_ro)?|script\r\n\$4\r\nshow)\r\n\$40\r\n([0-9a-f]{40})\r\n/i;
const HEAD_BYTES = 160;

export class MissingScripts {
  readonly #parts: MissingScriptsParts;
  readonly #bodies = new ScriptBodies();
  /** By node and script. */
  readonly #searches = new Map<string, Search>();
  /** Scripts at each node. */
  readonly #present = new Map<number, Map<string, Presence>>();

  constructor(parts: MissingScriptsParts) {
    this.#parts = parts;
  }

  /** A client that may has loaded it, at all primaries. */
  loaded(body: Uint8Array): void {
    const sha = this.#bodies.keep(body);
    for (const node of this.#parts.map.primaries()) this.#note(node, sha, false);
  }

  /** A client that may has had all scripts forgotten. */
  flushed(): void {
    this.#bodies.clear();
    this.#present.clear();
  }

  /** The connection to a node is lost: it may be another process next time. */
  forgetNode(node: number): void {
    this.#present.delete(node);
  }

  /** The text of a script that this proxy knows. */
  body(sha: string): Uint8Array | null {
    return this.#bodies.get(sha);
  }

  /**
   * For a request that `node` has answered with NOSCRIPT. It must not be sent again before the script is found: it may have run.
   *
   * @param sentMs not before it was sent (performance.now())
   * @returns null when the answer is the client's
   */
  search(node: number, request: Request, sentMs: number): ScriptSearch | null {
    if (request.fixed !== null || request.command === null) return null;
    const head = request.buf!.toString('latin1', request.start, request.start + HEAD_BYTES);
    const sha = SHA1.exec(head)?.[1]?.toLowerCase();
    if (sha === undefined) return null;
    const last = this.#searches.get(keyOf(node, sha));
    if (last?.state === 'searching') return last;
    if (last?.state === 'nowhere' && performance.now() - last.endedMs < REMEMBER_MS) return null;
    return this.#begin(node, sha, sentMs);
  }

  /**
   * Are these at the node, as far as anybody has them? False: those that are not known to be are looked for; ask again.
   *
   * @param sinceMs a search that began earlier does not tell what is missing (performance.now())
   */
  areAt(node: number, shas: Iterable<string>, sinceMs: number): boolean {
    return this.#searchesFor(node, shas, sinceMs).length === 0;
  }

  /** Resolves when these are at the node, as far as anybody has them. */
  async bring(node: number, shas: Iterable<string>): Promise<void> {
    const searches = this.#searchesFor(node, shas, performance.now());
    await Promise.all(searches.map((search) => search.ended));
  }

  #searchesFor(node: number, shas: Iterable<string>, sinceMs: number): Search[] {
    const present = this.#present.get(node);
    const searches: Search[] = [];
    for (const sha of shas) {
      if (present?.get(sha)?.said === true) continue;
      const last = this.#searches.get(keyOf(node, sha));
      if (last?.state === 'searching') searches.push(last);
      else if (last?.state !== 'nowhere' || last.startedMs < sinceMs)
        searches.push(this.#begin(node, sha, performance.now()));
    }
    return searches;
  }

  #begin(node: number, sha: string, sentMs: number): Search {
    if (this.#searches.size >= SEARCHES_MAXIMUM) this.#dropEnded();
    const search: Search = {
      state: 'searching',
      startedMs: performance.now(),
      endedMs: 0,
      ended: Promise.resolve(),
    };
    this.#searches.set(keyOf(node, sha), search);
    search.ended = this.#bringOne(sha, node, sentMs)
      .catch((): Outcome => 'nowhere')
      .then((outcome) => {
        search.state = outcome;
        search.endedMs = performance.now();
      });
    return search;
  }

  /** Those under way end by themselves, and who waits for one must find it. */
  #dropEnded(): void {
    for (const [key, { state }] of this.#searches)
      if (state !== 'searching') this.#searches.delete(key);
  }

  async #bringOne(sha: string, node: number, sentMs: number): Promise<Outcome> {
    const here = await this.#untilAnswered(node, ['SCRIPT', 'SHOW', sha]);
    if (here instanceof Uint8Array) {
      const known = this.#present.get(node)?.get(sha);
      this.#note(node, sha, true);
      // Another request, or another proxy, may have brought it since this one was sent.
      return known !== undefined && known.sinceMs <= sentMs ? 'here' : 'brought';
    }
    if (!(here instanceof RespError)) return 'nowhere';
    if (this.#present.get(node)?.delete(sha) === true) this.#bodies.drop(sha);
    const body =
      (await this.#shownByOthers(sha, node)) ??
      this.#bodies.get(sha) ??
      (await this.#parts.peerScript(sha));
    if (body === null) return 'nowhere';
    const loaded = await this.#untilAnswered(node, ['SCRIPT', 'LOAD', body]);
    if (loaded === null || loaded instanceof RespError) return 'nowhere';
    this.#bodies.keep(body);
    this.#note(node, sha, true);
    return 'brought';
  }

  async #shownByOthers(sha: string, node: number): Promise<Uint8Array | null> {
    const { map, question } = this.#parts;
    const others = map.nodes.filter((other) => other.known && other.index !== node);
    const shown = others.map(async ({ index }) => {
      const reply = await question(index, ['SCRIPT', 'SHOW', sha]);
      if (reply instanceof Uint8Array) return reply;
      throw new TypeError('not here');
    });
    // The first that has it: one that hangs holds nobody up.
    return Promise.any(shown).catch(() => null);
  }

  /** Null: it has not answered within the cache's deadline. */
  async #untilAnswered(
    node: number,
    args: readonly (string | Uint8Array)[],
  ): Promise<RespValue | null> {
    const giveUpMs = performance.now() + this.#parts.deadlineMs();
    for (;;) {
      const reply = await this.#parts.question(node, args);
      const answered = reply instanceof RespError ? !NOT_NOW.has(reply.kind) : reply !== null;
      if (answered) return reply;
      if (performance.now() > giveUpMs) return null;
      await sleep(PAUSE_MS);
    }
  }

  #note(node: number, sha: string, said: boolean): void {
    let present = this.#present.get(node);
    if (present === undefined || present.size >= PRESENT_MAXIMUM)
      this.#present.set(node, (present = new Map()));
    const known = present.get(sha);
    present.set(sha, {
      said: said || known?.said === true,
      sinceMs: known?.sinceMs ?? performance.now(),
    });
  }
}

function keyOf(node: number, sha: string): string {
  return `${node} ${sha}`;
}
