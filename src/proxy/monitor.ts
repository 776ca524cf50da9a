/**
 * MONITOR of one client: the lines of every primary, merged as they come. A connection of its own to each, as the
 * client's user; a primary that is new or comes back is joined within a second.
 */
import { encodeRequest } from '../protocol/request-encoder.ts';
import { laneHandshake } from './routing/lane.ts';
import { CLUSTER_DOWN } from './proxy-error.ts';
import type { Session } from './session.ts';
import type { Upstream } from './routing/upstream.ts';

const MONITOR = encodeRequest(['MONITOR']);
const WATCH_MS = 500;
const MINUS = 45;

interface Tap {
  readonly upstream: Upstream;
  answered: boolean;
}

export class Monitor {
  readonly #session: Session;
  readonly #taps = new Map<number, Tap>();
  #timer: NodeJS.Timeout | null = null;
  #settle: ((error: Buffer | null) => void) | null = null;
  #closed = false;

  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * Calls back once: null when every primary sends its commands, else the engine's error reply. Lines go to the client from
   * then on.
   */
  start(settle: (error: Buffer | null) => void): void {
    this.#settle = settle;
    const { cache, router } = this.#session.service;
    const primaries = router.primaries();
    if (primaries.length === 0) return this.#finish(CLUSTER_DOWN);
    for (const node of primaries) this.#tap(node);
    this.#timer = setTimeout(() => this.#finish(CLUSTER_DOWN), cache.deadlineMs);
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const { upstream } of this.#taps.values()) upstream.destroy();
    this.#taps.clear();
  }

  #tap(node: number): void {
    const kind = { ...this.#session.lane!.kind, readonly: false };
    const upstream = this.#session.service.router.connections.openPrivate(
      node,
      laneHandshake(kind),
      {
        onPush: (line) => this.#onLine(node, line),
        onClosed: () => this.#onLost(node),
      },
    );
    this.#taps.set(node, { upstream, answered: false });
    upstream.sendUnpaired(MONITOR);
  }

  #onLine(node: number, line: Buffer): void {
    const tap = this.#taps.get(node);
    if (tap === undefined) return;
    if (tap.answered) {
      if (this.#settle === null) this.#session.pushes.push(line);
      return;
    }
    tap.answered = true;
    if (line[0] === MINUS) this.#finish(line);
    else if ([...this.#taps.values()].every(({ answered }) => answered)) this.#finish(null);
  }

  #onLost(node: number): void {
    if (this.#closed) return;
    this.#taps.delete(node);
    if (this.#settle !== null && this.#taps.size === 0) this.#finish(CLUSTER_DOWN);
  }

  #finish(error: Buffer | null): void {
    const settle = this.#settle;
    if (settle === null) {
      // Refused later on: the user's rights have changed. The engine closes such a client's other connections, too.
      if (error !== null) this.#session.destroy();
      return;
    }
    this.#settle = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (error === null) this.#timer = setInterval(() => this.#followPrimaries(), WATCH_MS).unref();
    else this.close();
    settle(error);
  }

  #followPrimaries(): void {
    const primaries = new Set(this.#session.service.router.primaries());
    for (const node of primaries) if (!this.#taps.has(node)) this.#tap(node);
    for (const [node, { upstream }] of this.#taps) {
      if (primaries.has(node)) continue;
      this.#taps.delete(node);
      upstream.destroy();
    }
  }
}
