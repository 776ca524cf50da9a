/**
 * A session's bytes on their way out: gathered for one write at the end of the turn. Bounded: a client that does not read is
 * not read either, and cut when it goes on. Pushes keep out of the middle of a reply that leaves in pieces.
 */
import type { Socket } from 'node:net';
import type { ClientState } from './client-state.ts';
import { SMALL_BYTES } from './io/client-memory.ts';
import { OutQueue } from './io/out-queue.ts';
import type { Flushable, Turn } from './io/turn.ts';
import type { Meter } from './meter.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import type { NotedMemory } from './session-input.ts';
import { STALL_OUTPUT, STALL_TURN, type Stalls } from './stalls.ts';

/** What the output belongs to. */
export interface OutputOwner {
  readonly id: number;
  readonly socket: Socket;
  readonly client: ClientState;
  readonly memory: NotedMemory;
  /** All that was gathered has been given to the socket. */
  onFlushed(): void;
}

/** Replies waiting for the client above which its next requests are not read. */
export const OUTPUT_PAUSE_BYTES = 1024 * 1024;
/** A client that has been told all, and that its connection ends, may take this long to close its side. */
const LINGER_MS = 1000;

export class SessionOutput implements Flushable {
  flushScheduled = false;
  readonly #owner: OutputOwner;
  readonly #socket: Socket;
  readonly #router: CacheRouter;
  readonly #meter: Meter;
  readonly #turn: Turn;
  readonly #stalls: Stalls;
  readonly #out: OutQueue;
  /** Pushes that wait for the end of a reply that is being streamed. */
  #heldPushes: Buffer[] | null = null;
  #heldBytes = 0;
  /** Since when a subscriber has been above the soft limit, ms; 0 when it is not. */
  #softLimitSinceMs = 0;
  /** Our side of the connection is closed. */
  #ending = false;
  #closed = false;

  constructor(owner: OutputOwner, router: CacheRouter, stalls: Stalls) {
    this.#owner = owner;
    this.#socket = owner.socket;
    this.#router = router;
    this.#meter = router.meter;
    this.#turn = router.turn;
    this.#stalls = stalls;
    this.#out = new OutQueue(router.blocks);
    owner.socket.on('drain', () => {
      stalls.end(STALL_OUTPUT);
      if (owner.memory.memoryCounted) owner.memory.note();
    });
  }

  get sizeBytes(): number {
    return this.#out.sizeBytes + this.#heldBytes + this.#socket.writableLength;
  }

  /** What is held for this client has changed, replies that wait among it. */
  noteMemory(): void {
    this.#owner.memory.note();
  }

  /** A reply, or a piece of one: `buf[start, end)` is copied. Hot. */
  write(buf: Buffer, start: number, end: number): void {
    if (this.#closed) return;
    this.#meter.bytesOut += end - start;
    this.#out.append(buf, start, end);
    if (this.#out.sizeBytes > OUTPUT_PAUSE_BYTES) this.#stalls.begin(STALL_TURN);
    if (!this.flushScheduled) this.#turn.flushSession(this);
  }

  /** A reply in parts that nobody changes any more. */
  writeStable(parts: readonly Buffer[]): void {
    if (this.#closed) return;
    for (const part of parts) {
      this.#meter.bytesOut += part.length;
      this.#out.appendStable(part);
    }
    if (this.#out.sizeBytes > OUTPUT_PAUSE_BYTES) this.#stalls.begin(STALL_TURN);
    if (!this.flushScheduled) this.#turn.flushSession(this);
  }

  /** Bytes that are no reply: pushes, messages. For subscribers pub/sub's own limits of output hold. */
  push(bytes: Buffer, midReply: boolean): void {
    if (this.#closed || this.#ending) return;
    const { limits } = this.#router.cache;
    const waiting = this.sizeBytes + bytes.length;
    const { subscriptions, monitor } = this.#owner.client;
    // Others have pushes, too: invalidations, beside replies as large as they like.
    const subscribed = monitor !== null || (subscriptions !== null && subscriptions.count > 0);
    if (waiting > (subscribed ? limits.pubsubOutputHardBytes : limits.outputMaximumBytes))
      return this.cutSlowReader();
    if (subscribed && waiting > limits.pubsubOutputSoftBytes) {
      const now = Date.now();
      if (this.#softLimitSinceMs === 0) this.#softLimitSinceMs = now;
      else if (now - this.#softLimitSinceMs > limits.pubsubOutputSoftSeconds * 1000)
        return this.cutSlowReader();
    } else {
      this.#softLimitSinceMs = 0;
    }
    if (!midReply) {
      this.write(bytes, 0, bytes.length);
      return;
    }
    (this.#heldPushes ??= []).push(bytes);
    this.#heldBytes += bytes.length;
  }

  /** The reply that left in pieces is whole: what waited for that may go. */
  writeHeldPushes(): void {
    if (this.#heldPushes === null) return;
    const held = this.#heldPushes;
    this.#heldPushes = null;
    this.#heldBytes = 0;
    for (const bytes of held) this.write(bytes, 0, bytes.length);
  }

  /** Has `onFlushed` called at the end of this turn. */
  flushSoon(): void {
    this.#turn.flushSession(this);
  }

  flush(): void {
    if (this.#closed) return;
    this.#out.flushTo(this.#socket);
    const waiting = this.#socket.writableLength;
    if (waiting > SMALL_BYTES || this.#owner.memory.memoryCounted) this.#owner.memory.note();
    if (waiting > OUTPUT_PAUSE_BYTES) {
      if (waiting > this.#router.cache.limits.outputMaximumBytes) return this.cutSlowReader();
      this.#stalls.begin(STALL_OUTPUT);
    }
    this.#stalls.end(STALL_TURN);
    this.#owner.onFlushed();
  }

  cutSlowReader(): void {
    if (this.#socket.destroyed) return;
    this.tellCut('cut a client that does not read its replies', this.sizeBytes);
    this.#socket.destroy();
  }

  /** Log and metrics get to know. */
  tellCut(why: string, heldBytes: number): void {
    const { cache, log } = this.#router;
    this.#meter.slowReadersCut++;
    log.warn({ cache: cache.name, client: this.#owner.id, heldBytes }, why);
  }

  /**
   * Closes our side: what is written still goes out. A client that keeps its own side open after that is not waited for;
   * closed at once, the connection could be reset before the client has read all.
   */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    const socket = this.#socket;
    socket.end(() => setTimeout(() => socket.destroy(), LINGER_MS).unref());
  }

  /** Closes at once: what is written may be lost. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The connection has gone: nothing is written any more. */
  close(): void {
    this.#closed = true;
    this.#out.clear();
  }
}
