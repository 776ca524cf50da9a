/**
 * What the nodes of one cache say of their slots: who owns them, how many keys are in each, and what CPU each costs
 * (`CLUSTER SLOT-STATS`). All slots at once are a megabyte and some milliseconds of a node, so that is asked twice a minute;
 * between, only for the slots that cost most so far and those that are hottest now.
 */
import { parseClusterNodes } from './node-observation.ts';
import { NO_SHARD, SLOT_COUNT } from '../model/slot-range.ts';

const ALL_EVERY_MS = 30_000;
/** Sooner when a node has so many more or fewer keys than were found in its slots (a part of them) ... */
const KEYS_OFF = 0.2;
/** ... but not sooner than this. */
const ALL_SOONEST_MS = 5_000;
/** The slots of a node that cost most CPU since it started. */
const MOST_EXPENSIVE = 32;
/** The slots of a node that are hottest by the proxies' counts. */
const HOTTEST = 8;
const TIMEOUT_MS = 2_000;

/** What is not known of any slot: shared, never written to. */
const NOTHING = new Float64Array(SLOT_COUNT);

/** A primary that is asked. */
export interface SlotOwner {
  readonly nodeId: string;
  readonly shard: number;
  /** Keys that it has, as it says. */
  readonly keys: number;
}

export type AskNode = (
  nodeId: string,
  args: readonly (string | number)[],
  timeoutMs: number,
) => Promise<unknown>;

export class SlotStats {
  readonly owners = new Int32Array(SLOT_COUNT).fill(NO_SHARD);
  /** Made for the first slot with something in it: many caches are empty, or unsharded. */
  #keys = NOTHING;
  #cpuUsPerSecond = NOTHING;
  /** Of each slot: the counter and the time when it was asked last. */
  #cpuUs = NOTHING;
  #askedAtMs = NOTHING;
  readonly #allAskedAtMs = new Map<string, number>();
  readonly #ask: AskNode;

  constructor(ask: AskNode) {
    this.#ask = ask;
  }

  get keys(): Float64Array {
    return this.#keys;
  }

  get cpuUsPerSecond(): Float64Array {
    return this.#cpuUsPerSecond;
  }

  /** No slot has had anything in it yet. */
  get isEmpty(): boolean {
    return this.#keys === NOTHING;
  }

  /** Asks the primaries. One that does not answer leaves what is known of its slots as it was. `heat`: a rate by slot. */
  async look(primaries: readonly SlotOwner[], heat: Float64Array, nowMs: number): Promise<void> {
    await Promise.allSettled(primaries.map((owner) => this.#lookAt(owner, heat, nowMs)));
  }

  async #lookAt(owner: SlotOwner, heat: Float64Array, nowMs: number): Promise<void> {
    const { nodeId, shard } = owner;
    const ask = (...args: (string | number)[]) =>
      this.#ask(nodeId, ['CLUSTER', ...args], TIMEOUT_MS);
    const sinceMs = nowMs - (this.#allAskedAtMs.get(nodeId) ?? -Infinity);
    const all = sinceMs >= (this.#isOff(owner) ? ALL_SOONEST_MS : ALL_EVERY_MS);
    const [nodes, ...stats] = await Promise.all([
      ask('NODES'),
      ...(all
        ? [ask('SLOT-STATS', 'SLOTSRANGE', 0, SLOT_COUNT - 1)]
        : [
            // 8.0 does not count it (engine/node-config.ts) and refuses.
            ask('SLOT-STATS', 'ORDERBY', 'cpu-usec', 'LIMIT', MOST_EXPENSIVE).catch(() => null),
            ...this.#hottestOf(shard, heat).map((slot) =>
              ask('SLOT-STATS', 'SLOTSRANGE', slot, slot),
            ),
          ]),
    ]);
    if (all) this.#allAskedAtMs.set(nodeId, nowMs);
    this.#takeOwner(shard, String(nodes));
    for (const reply of stats) this.#takeStats(reply, nowMs);
  }

  /** Have its slots filled or emptied since they were all looked at? */
  #isOff({ shard, keys }: SlotOwner): boolean {
    let found = 0;
    for (let slot = 0; slot < SLOT_COUNT; slot++)
      if (this.owners[slot] === shard) found += this.#keys[slot]!;
    return Math.abs(keys - found) > KEYS_OFF * Math.max(keys, found);
  }

  #hottestOf(shard: number, heat: Float64Array): number[] {
    const hottest: number[] = [];
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.owners[slot] !== shard || heat[slot] === 0) continue;
      if (hottest.length === HOTTEST && heat[slot]! <= heat[hottest[HOTTEST - 1]!]!) continue;
      hottest.push(slot);
      hottest.sort((a, b) => heat[b]! - heat[a]!);
      hottest.length = Math.min(hottest.length, HOTTEST);
    }
    return hottest;
  }

  /** What the node says it owns itself: others may not have heard of it yet. */
  #takeOwner(shard: number, nodes: string): void {
    const line = nodes.split('\n').find((one) => / \S*\bmyself\b/.test(one));
    const [myself] = parseClusterNodes(line ?? '');
    if (myself?.role !== 'primary') return;
    const owned = new Uint8Array(SLOT_COUNT);
    for (const { first, last } of myself.slotRanges) owned.fill(1, first, last + 1);
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (owned[slot] === 1) this.owners[slot] = shard;
      else if (this.owners[slot] === shard) this.owners[slot] = NO_SHARD;
    }
  }

  /** `[[slot, ['key-count', n, 'cpu-usec', n, ...]], ...]` */
  #takeStats(reply: unknown, nowMs: number): void {
    if (!Array.isArray(reply)) return;
    for (const entry of reply as [number, (string | number)[]][]) {
      const [slot, fields] = entry;
      if (!Number.isInteger(slot) || !Array.isArray(fields)) continue;
      const number = (name: string) =>
        fields.includes(name) ? Number(fields[fields.indexOf(name) + 1]) : 0;
      const keys = number('key-count');
      const cpuUs = number('cpu-usec');
      if (this.isEmpty) {
        if (keys === 0 && cpuUs === 0) continue;
        this.#makeRoom();
      }
      this.#keys[slot] = keys;
      const askedAtMs = this.#askedAtMs[slot]!;
      // A slot that has moved counts from zero again.
      const grownUs = cpuUs < this.#cpuUs[slot]! ? cpuUs : cpuUs - this.#cpuUs[slot]!;
      if (askedAtMs > 0 && nowMs > askedAtMs)
        this.#cpuUsPerSecond[slot] = (grownUs * 1000) / (nowMs - askedAtMs);
      this.#cpuUs[slot] = cpuUs;
      this.#askedAtMs[slot] = nowMs;
    }
  }

  #makeRoom(): void {
    const make = () => new Float64Array(SLOT_COUNT);
    this.#keys = make();
    this.#cpuUsPerSecond = make();
    this.#cpuUs = make();
    this.#askedAtMs = make();
  }
}
