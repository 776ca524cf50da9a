/**
 * Scripts that a node does not know while others do: one that joined after SCRIPT LOAD, or that began anew. To the client
 * the cache is one server, and it has loaded the script there; so it is brought from a primary that has it.
 *
 *   -NOSCRIPT ─> not at the node itself? ─> SCRIPT SHOW at the others ─> SCRIPT LOAD at the node ─> the request once more
 *
 * Whose error it is is asked, not guessed: a script that ends with these words of its own has run, and is at the node.
 */
import { itemsOf, RespError, type RespValue } from '../../protocol/resp-value.ts';
import type { NodeMap } from './node-map.ts';
import type { Request } from './request.ts';

export interface MissingScriptsParts {
  readonly map: NodeMap;
  /** Null when the node does not answer in time. */
  readonly question: (
    node: number,
    args: readonly (string | Uint8Array)[],
  ) => Promise<RespValue | null>;
}

/** Of one script for one node. */
export interface ScriptSearch {
  readonly state: 'searching' | 'found' | 'missing';
}

type Ended = { -readonly [K in keyof ScriptSearch]: ScriptSearch[K] } & { endedMs: number };

/** A client that has been told so loads it itself; until then everyone is told so at once. */
const REMEMBER_MS = 1000;
const SEARCHES_MAXIMUM = 1000;
const SHA1 = /^\*\d+\r\n\$\d+\r\nevalsha(?:_ro)?\r\n\$40\r\n([0-9a-f]{40})\r\n/i;
/** Of the beginning of an EVALSHA up to its script's name. */
const HEAD_BYTES = 128;

export class MissingScripts {
  readonly #parts: MissingScriptsParts;
  /** By node and script. */
  readonly #searches = new Map<string, Ended>();

  constructor(parts: MissingScriptsParts) {
    this.#parts = parts;
  }

  /**
   * For a request that `node` has answered with NOSCRIPT. It must not be sent again before the script is found: it may have run.
   *
   * @returns null when the answer is the client's
   */
  search(node: number, request: Request): ScriptSearch | null {
    const { map } = this.#parts;
    if (request.fixed !== null || request.precedingReplies > 0 || map.primaries().length < 2)
      return null;
    const head = request.buf!.toString('latin1', request.start, request.start + HEAD_BYTES);
    const sha = SHA1.exec(head)?.[1]?.toLowerCase();
    if (sha === undefined) return null;
    const key = `${node} ${sha}`;
    const last = this.#searches.get(key);
    if (last?.state === 'searching') return last;
    if (last?.state === 'missing' && performance.now() - last.endedMs < REMEMBER_MS) return null;
    if (this.#searches.size >= SEARCHES_MAXIMUM) this.#searches.clear();
    const search: Ended = { state: 'searching', endedMs: 0 };
    this.#searches.set(key, search);
    void this.#bring(sha, node)
      .catch(() => false)
      .then((found) => {
        search.state = found ? 'found' : 'missing';
        search.endedMs = performance.now();
      });
    return search;
  }

  async #bring(sha: string, node: number): Promise<boolean> {
    const { map, question } = this.#parts;
    const here = await question(node, ['SCRIPT', 'EXISTS', sha]);
    if (!Array.isArray(here) || itemsOf(here)[0] !== 0) return false;
    const others = map.primaries().filter((other) => other !== node);
    const shown = await Promise.all(
      others.map((other) => question(other, ['SCRIPT', 'SHOW', sha])),
    );
    const body = shown.find((reply) => reply instanceof Uint8Array);
    if (body === undefined) return false;
    const loaded = await question(node, ['SCRIPT', 'LOAD', Buffer.from(body)]);
    return loaded !== null && !(loaded instanceof RespError);
  }
}
