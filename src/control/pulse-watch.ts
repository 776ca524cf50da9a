/**
 * Feels the pulse of all nodes several times a second: a PING on the admin connection of each, and for those that owe an
 * answer, what their hosts say of their processes. Finds out within two seconds that a node hangs; decides nothing.
 *
 *   tick -> PING to all that owe nothing
 *        -> (replies that have come are read) -> those that owe one since the last tick -> their hosts -> judgePulse
 */
import type { Logger } from 'pino';
import type { NodeActivity } from '../engine/host.ts';
import type { FleetNode } from './fleet-node.ts';

export interface PulseWatchParts {
  nodes(): Iterable<FleetNode>;
  /** Of these nodes; those that no host can tell of are left out. */
  activity(nodes: readonly FleetNode[]): Promise<readonly NodeActivity[]>;
  readonly log: Logger;
}

const TICK_MS = 250;
/** Above this many nodes a round takes more than one tick. */
const NODES_PER_TICK = 100;
/** A tick that comes later than this after it was due: this process had no CPU, and so may the nodes. */
const LATE_MS = 250;

export class PulseWatch {
  readonly #parts: PulseWatchParts;
  #timer: NodeJS.Timeout | null = null;
  #lastMs = 0;
  /** Time in which this process ran as it should: silence is counted in it. */
  #clockMs = 0;
  #looking = false;
  /** Where the next round's first PING goes. */
  #cursor = 0;

  constructor(parts: PulseWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#lastMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    const nowMs = performance.now();
    const tookMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (tookMs - TICK_MS <= LATE_MS) this.#clockMs += tookMs;
    const watched = [...this.#parts.nodes()].filter((node) => node.isWatched);
    const owing = watched.filter((node) => node.owesAnswer);
    this.#ask(watched);
    if (owing.length === 0) return;
    // Timers go before sockets in a turn of the event loop: what has come by now is read first.
    setImmediate(() => void this.#look(owing));
  }

  #ask(watched: readonly FleetNode[]): void {
    const count = Math.min(watched.length, NODES_PER_TICK);
    for (let i = 0; i < count; i++)
      watched[(this.#cursor + i) % watched.length]!.ping(this.#clockMs);
    this.#cursor = watched.length === 0 ? 0 : (this.#cursor + count) % watched.length;
  }

  async #look(asked: readonly FleetNode[]): Promise<void> {
    if (this.#looking) return;
    const owing = asked.filter((node) => node.isWatched && node.owesAnswer);
    if (owing.length === 0) return;
    this.#looking = true;
    const clockMs = this.#clockMs;
    let activities: readonly NodeActivity[] = [];
    try {
      activities = await this.#parts.activity(owing);
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'no host says what its nodes do');
    }
    this.#looking = false;
    // Whoever is told next may be gone with what it writes to.
    if (this.#timer === null) return;
    const byNode = new Map(activities.map((activity) => [activity.nodeId, activity]));
    for (const node of owing) node.feel(clockMs, byNode.get(node.id) ?? null);
  }
}
