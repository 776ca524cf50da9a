/**
 * What a primary itself says of its slots, for those who must know it for sure: SCAN skips a slot only on the word of the
 * node that owned it while it was asked. The router's map is no such word, it may be old.
 *
 * A view taken before and one taken after, with the same configuration epoch, prove what was in between: a node cannot
 * get a slot back without a higher epoch.
 */
import { createHash } from 'node:crypto';
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import { entriesOf, textOf } from '../../protocol/resp-value.ts';
import { askOnce } from '../ask-once.ts';
import type { CacheRouter } from './cache-router.ts';
import type { Upstream } from './upstream.ts';

export interface NodeSlots {
  readonly epoch: number;
  /** 1 for each slot that it owns. */
  readonly owned: Uint8Array;
  /** Slots that it is giving away key by key (SETSLOT MIGRATING): index of the node that gets it. */
  readonly migrating: ReadonlyMap<number, number>;
}

interface Questions {
  last: NodeSlots | null;
  /** On its way already: too early for who asks now. */
  running: Promise<NodeSlots | null> | null;
  /** Will be asked when that one is answered, for all who ask meanwhile. */
  next: Promise<NodeSlots | null> | null;
}

export class SlotWitness {
  readonly #router: CacheRouter;
  readonly #questions = new Map<number, Questions>();
  readonly #origins = new Map<number, { upstream: Upstream | null; origin: Promise<number> }>();

  constructor(router: CacheRouter) {
    this.#router = router;
  }

  /** The last view of this node, or a new one when there is none. */
  async known(node: number): Promise<NodeSlots | null> {
    return this.#questions.get(node)?.last ?? this.now(node);
  }

  /** A view taken after this call. Null: it did not answer, or is no primary. */
  now(node: number): Promise<NodeSlots | null> {
    let questions = this.#questions.get(node);
    if (questions === undefined) {
      questions = { last: null, running: null, next: null };
      this.#questions.set(node, questions);
    }
    const own = questions;
    if (own.running === null) return this.#start(node, own);
    own.next ??= own.running.then(() => {
      own.next = null;
      return this.#start(node, own);
    });
    return own.next;
  }

  /**
   * Two nodes with the same origin have the same order of keys in a slot's table: one seed of hashing (9.1's `hash-seed`,
   * given to all nodes of a cache), else one process. 1..65535; 0 when the node does not answer.
   */
  async origin(node: number): Promise<number> {
    const known = this.#origins.get(node);
    // Its connection lives as long as its process.
    if (known !== undefined && known.upstream === this.connection(node)) return known.origin;
    const entry = { upstream: this.connection(node), origin: this.#askOrigin(node) };
    this.#origins.set(node, entry);
    const origin = await entry.origin;
    if (origin === 0) this.#origins.delete(node);
    else entry.upstream = this.connection(node);
    return origin;
  }

  /** Changes when the node's process does. */
  connection(node: number): Upstream | null {
    return this.#router.systemLane.upstreams[node] ?? null;
  }

  #start(node: number, questions: Questions): Promise<NodeSlots | null> {
    questions.running = this.#ask(node).then((view) => {
      questions.last = view;
      questions.running = null;
      return view;
    });
    return questions.running;
  }

  async #ask(node: number): Promise<NodeSlots | null> {
    const text = textOf(await askOnce(this.#router, node, ['CLUSTER', 'NODES']));
    return text === null ? null : this.#parse(text, node);
  }

  #parse(text: string, node: number): NodeSlots | null {
    const addresses = new Map<string, string>();
    let own: string[] | null = null;
    for (const line of text.split('\n')) {
      const words = line.trim().split(' ');
      if (words.length < 8) continue;
      addresses.set(words[0]!, words[1]!.split(/[@,]/, 1)[0]!);
      if (words[2]!.includes('myself')) own = words;
    }
    const { port } = this.#router.nodes[node]!;
    // Of another node, when the question had to go elsewhere.
    if (
      own === null ||
      !own[2]!.includes('master') ||
      !addresses.get(own[0]!)!.endsWith(`:${port}`)
    )
      return null;
    const owned = new Uint8Array(SLOT_COUNT);
    const migrating = new Map<number, number>();
    for (const word of own.slice(8)) {
      const moving = /^\[(\d+)->-([0-9a-f]+)\]$/.exec(word);
      if (moving !== null) {
        const at = addresses.get(moving[2]!);
        const target = this.#router.nodes.find((each) => `${each.host}:${each.port}` === at);
        migrating.set(Number(moving[1]), target?.index ?? -1);
      } else if (/^\d/.test(word)) {
        const [first, last] = word.split('-').map(Number);
        owned.fill(1, first, (last ?? first!) + 1);
      }
    }
    return { epoch: Number(own[6]), owned, migrating };
  }

  async #askOrigin(node: number): Promise<number> {
    const config = await askOnce(this.#router, node, ['CONFIG', 'GET', 'hash-seed']);
    const seed = textOf(new Map(entriesOf(config)).get('hash-seed')) ?? '';
    const server = textOf(await askOnce(this.#router, node, ['INFO', 'server'])) ?? '';
    const process = /run_id:(\w+)/.exec(server)?.[1];
    if (process === undefined) return 0;
    const identity = seed === '' ? `process ${process}` : `seed ${seed}`;
    return createHash('sha256').update(identity).digest().readUInt16BE(0) || 1;
  }
}
