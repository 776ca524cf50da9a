/**
 * Which replica answers a read of the reader port. Of the primary's replicas that are fit, two at random, and of these the one
 * with fewer requests of this lane under way ("the power of two choices": Mitzenmacher, 2001): a hot key's reads are spread
 * over all of them, a replica that is slow gets less, and nobody has to be told how loaded the others are.
 *
 * Fit is a replica whose link to its primary is up and that is not far behind, as both say when they are asked, once a second
 * while anybody reads; one whose connection has just been lost is not, until it answers again. Where none is fit all that
 * are known are as good; without a replica the primary answers.
 */
import { itemsOf, RespError, textOf, type RespValue } from '../../protocol/resp-value.ts';
import type { Lane } from './lane.ts';
import type { NodeMap } from './node-map.ts';

/** Asks one node, once; null when it does not answer in time. */
type Question = (node: number, args: readonly string[]) => Promise<RespValue>;

/** A replica further behind is not asked: at 100 MB/s, which a primary does not write, this is 10 ms. */
const LAG_MAXIMUM_BYTES = 1024 * 1024;

export class ReaderChoice {
  readonly #map: NodeMap;
  readonly #question: Question;
  /** By primary: who may be chosen. Made anew when something has changed. */
  readonly #candidates = new Map<number, readonly number[]>();
  #version = -1;
  #unfit: ReadonlySet<number> = new Set();
  /** Replicas that have said that they are fit, or not. */
  #judged: ReadonlySet<number> = new Set();
  #used = false;
  #looking = false;
  #random = 0x2545f491;

  constructor(map: NodeMap, question: Question) {
    this.#map = map;
    this.#question = question;
  }

  /** The node that answers a read of this primary's data over this lane. */
  choose(lane: Lane, primary: number): number {
    this.#used = true;
    if (this.#version !== this.#map.version) {
      this.#version = this.#map.version;
      this.#candidates.clear();
    }
    let candidates = this.#candidates.get(primary);
    if (candidates === undefined) {
      candidates = this.#fitReplicas(primary);
      this.#candidates.set(primary, candidates);
    }
    const count = candidates.length;
    if (count < 2) return candidates[0] ?? primary;
    const first = this.#below(count);
    const second = (first + 1 + this.#below(count - 1)) % count;
    const one = candidates[first]!;
    const other = candidates[second]!;
    const ahead = lane.upstreams[other]?.pending ?? 0;
    return (lane.upstreams[one]?.pending ?? 0) <= ahead ? one : other;
  }

  /** A connection to this node was lost: others are asked until it has answered. */
  avoid(node: number): void {
    if (this.#map.nodes[node]?.primary !== false) return;
    this.#judge(new Set([...this.#unfit, node]), new Set([...this.#judged, node]));
    void this.look();
  }

  /** Asks the replicas how they are, if anybody reads from them. Called about once a second, and when the map has changed. */
  async look(): Promise<void> {
    if (!this.#used || this.#looking) return;
    this.#looking = true;
    this.#used = false;
    const replicas = this.#map.nodes.filter((node) => node.known && !node.primary);
    const primaries = [...new Set(replicas.map((node) => node.primaryIndex))];
    const offsets = new Map(
      await Promise.all(
        primaries.map(
          async (node) => [node, offsetOf(await this.#question(node, ['ROLE']))] as const,
        ),
      ),
    );
    const unfit = new Set<number>();
    await Promise.all(
      replicas.map(async ({ index, primaryIndex }) => {
        const reply = await this.#question(index, ['ROLE']);
        if (!isFit(reply, offsets.get(primaryIndex) ?? null)) unfit.add(index);
      }),
    );
    this.#judge(unfit, new Set(replicas.map(({ index }) => index)));
    this.#looking = false;
  }

  #judge(unfit: ReadonlySet<number>, judged: ReadonlySet<number>): void {
    this.#unfit = unfit;
    this.#judged = judged;
    this.#candidates.clear();
  }

  /** Those that have not been asked yet count as fit only where no other is: a new one may just be copying its data. */
  #fitReplicas(primary: number): readonly number[] {
    const replicas = this.#map.nodes
      .filter(
        (node) => node.known && !node.primary && !node.leaving && node.primaryIndex === primary,
      )
      .map((node) => node.index);
    const fit = replicas.filter((node) => this.#judged.has(node) && !this.#unfit.has(node));
    return fit.length > 0 ? fit : replicas;
  }

  #below(limit: number): number {
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    return (this.#random >>> 0) % limit;
  }
}

/** ROLE of a primary: what it has produced; null when it did not say. */
function offsetOf(role: RespValue): number | null {
  if (role === null || role instanceof RespError) return null;
  const [kind, offset] = itemsOf(role);
  return textOf(kind) === 'master' ? Number(textOf(offset)) : null;
}

/** ROLE of a replica: its link's state and what it has taken. Asked after its primary: it may be ahead. */
function isFit(role: RespValue, primaryOffset: number | null): boolean {
  if (role === null || role instanceof RespError) return false;
  const [kind, , , state, offset] = itemsOf(role);
  if (textOf(kind) !== 'slave' || textOf(state) !== 'connected') return false;
  return primaryOffset === null || primaryOffset - Number(textOf(offset)) <= LAG_MAXIMUM_BYTES;
}
