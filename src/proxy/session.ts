/**
 * One client connection: finds requests in its bytes, sends each on its way, and writes the replies in the order of the
 * requests. Plain forwarded commands are handled here without detour; everything else goes to `SessionCommands`.
 *
 *   bytes -> RequestScanner -> dispatch -> router ...
 *   list of requests under way: head (oldest) .. tail; a reply that is not the head's waits in its request
 *
 * Reading stops ("stall") while something must not be overtaken or a queue is full: that is the back-pressure.
 */
import type { Socket } from 'node:net';
import { COMMAND_GROUPS } from '../model/usage.ts';
import {
  FLAG_WRITE,
  KEYS_FIXED,
  KEYS_NONE,
  type RequestArguments,
} from '../protocol/command-table.ts';
import { hashSlot } from '../protocol/hash-slot.ts';
import type { RequestScanner } from '../protocol/request-scanner.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import type { CacheService } from './cache-service.ts';
import type { ClientState } from './client-state.ts';
import type { PlannedCommand } from './command-book.ts';
import { PLAN_FORWARD } from './command-plan.ts';
import type { Lane } from './routing/lane.ts';
import { OutQueue } from './io/out-queue.ts';
import { CLUSTER_DOWN, errorReply } from './proxy-error.ts';
import { NO_SLOT, REQUEST_DONE, REQUEST_RETRYING, type Request } from './routing/request.ts';
import type { RequestSink } from './routing/request-sink.ts';
import { SessionInput, type InputOwner } from './session-input.ts';
import type { Flushable, Turn } from './io/turn.ts';

/** Waits until its requests under way are answered, then goes on. */
export const STALL_DRAIN = 1;
/** A command of its own is at work and the next must not start. */
export const STALL_BUSY = 2;
/** As many requests under way as it may have. */
export const STALL_FULL = 4;
/** It does not read its replies. */
export const STALL_OUTPUT = 8;
/** The node it wants does not keep up. */
export const STALL_NODE = 16;
/** The command table is not known yet. */
export const STALL_START = 32;
/** As much output as one turn may make: the rest of the input waits until it is written. */
const STALL_TURN = 64;

const PENDING_MAXIMUM = 1024;
/** A slot that no command has: what stands in the list only for its place decides nothing about the order of commands. */
const NO_COMMAND = -2;
/** Invalidations that may wait behind replies, requests included. */
const PUSHES_MAXIMUM = 100_000;
const PENDING_MAXIMUM_BYTES = 32 * 1024 * 1024;
/** Replies waiting for the client above which its next requests are not read. */
const OUTPUT_PAUSE_BYTES = 1024 * 1024;
/** A client that has been told all, and that its connection ends, may take this long to close its side. */
const LINGER_MS = 1000;

function mayWrite({ command, group }: PlannedCommand): boolean {
  return (command.flags & FLAG_WRITE) !== 0 || group === 'script';
}

/** A reply that tells where a slot has gone to is none of a client's business: the request was not executed. */
function hideMove(request: Request): void {
  const first = request.replyBuf![request.replyStart + 1];
  if (first !== UPPER_M && first !== UPPER_A) return;
  request.replyBuf = CLUSTER_DOWN;
  request.replyStart = 0;
  request.replyEnd = CLUSTER_DOWN.length;
}

/** First letters of MOVED (and MASTERDOWN) and ASK. */
const UPPER_M = 77;
const UPPER_A = 65;

export class Session implements RequestSink, Flushable, InputOwner {
  readonly id: number;
  readonly service: CacheService;
  readonly socket: Socket;
  readonly client: ClientState;
  readonly createdAtMs = Date.now();
  /** On the reader port. */
  readonly reader: boolean;
  flushScheduled = false;
  authenticated = false;
  /** Not plain forwarding: a transaction, RESP2 subscriptions, CLIENT REPLY, tracking, no login. */
  special = false;
  lane: Lane | null = null;
  closed = false;
  readonly abandoned = false;
  /** When the last command came (Turn's clock), and its name: for CLIENT LIST. */
  lastCommandUs = 0;
  lastCommand: PlannedCommand | null = null;
  commands = 0;

  readonly #router: CacheRouter;
  readonly #turn: Turn;
  readonly #out: OutQueue;
  readonly #input: SessionInput;
  #head: Request | null = null;
  #tail: Request | null = null;
  #pending = 0;
  #pendingBytes = 0;
  /** Replies, and parts of replies, that wait for an older one or for their other parts. */
  #heldReplyBytes = 0;
  /** Requests that wait for another try. */
  #retrying = 0;
  #epoch = 0;
  #stall = 0;
  #resumeScheduled = false;
  #closeAfterReplies = false;
  /** Our side of the connection is closed. */
  #ending = false;
  /** The client sends no more. */
  #ended = false;
  #onGone: (() => void) | null = null;
  /** Pushes that wait for the end of a reply that is being streamed. */
  #heldPushes: Buffer[] | null = null;
  #heldBytes = 0;
  /** Since when a subscriber has been above the soft limit, ms; 0 when it is not. */
  #softLimitSinceMs = 0;

  constructor(
    service: CacheService,
    socket: Socket,
    id: number,
    reader: boolean,
    client: ClientState,
  ) {
    this.id = id;
    this.service = service;
    this.socket = socket;
    this.reader = reader;
    this.client = client;
    this.#router = service.router;
    this.#turn = service.router.turn;
    this.#out = new OutQueue(service.router.blocks);
    this.#input = new SessionInput(this);
    this.#epoch = service.router.epoch;
    socket.on('drain', () => this.#unstall(STALL_OUTPUT));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#onClose());
    if (!this.#router.ready) {
      this.stall(STALL_START);
      const patience = setTimeout(() => this.#giveUpWaiting(), service.cache.deadlineMs);
      patience.unref();
      this.#router.whenReady(() => {
        clearTimeout(patience);
        this.#unstall(STALL_START);
      });
    }
  }

  /** Requests under way. */
  get pending(): number {
    return this.#pending;
  }

  get outputBytes(): number {
    return this.#out.sizeBytes + this.socket.writableLength;
  }

  get inputBytes(): number {
    return this.#input.sizeBytes;
  }

  /** Called when the connection closes: a blocked command's connection goes with it. */
  set onGone(callback: (() => void) | null) {
    this.#onGone = callback;
    if (callback === null) return;
    if (this.closed) callback();
    // Nothing is read from it any more, so nothing would ever tell that it has gone.
    else if (this.#ended) this.socket.destroy();
  }

  /** Does a stall of this kind hold it? */
  isStalled(reason: number): boolean {
    return (this.#stall & reason) !== 0;
  }

  // ---- replies -------------------------------------------------------------------------------------------------------

  /** Answers the command at hand, after all that are under way. */
  reply(bytes: Buffer): void {
    if (this.#head === null) {
      this.#router.meter.answered(this.lastCommand?.groupIndex ?? ADMIN_GROUP, 0);
      if (bytes[0] === MINUS) this.#router.meter.failed(bytes, 0, bytes.length);
      if (!this.client.muted) this.#write(bytes, 0, bytes.length);
      return;
    }
    this.complete(this.reserve(null), bytes);
  }

  /** Keeps the place of the next reply; `complete` fills it. `sizeBytes`: what is under way in its stead. */
  reserve(planned: PlannedCommand | null, sizeBytes = 0): Request {
    const request = this.#router.pool.take();
    request.sink = this;
    request.start = 0;
    request.end = sizeBytes;
    request.slot = NO_COMMAND;
    request.command = planned?.command ?? null;
    request.part = planned?.groupIndex ?? ADMIN_GROUP;
    request.startedUs = this.#turn.nowUs;
    request.muted = this.client.muted;
    this.#enqueue(request);
    this.#pendingBytes += sizeBytes;
    return request;
  }

  complete(request: Request, bytes: Buffer): void {
    this.onReply(request, bytes, 0, bytes.length);
  }

  /** Bytes that are no reply: pushes, messages. For subscribers pub/sub's own limits of output hold. */
  push(bytes: Buffer): void {
    if (this.closed || this.#ending) return;
    const limits = this.service.cache.limits;
    const waiting = this.outputBytes + this.#heldBytes + bytes.length;
    const { subscriptions, monitor } = this.client;
    // Others have pushes, too: invalidations, beside replies as large as they like.
    const subscribed = monitor !== null || (subscriptions !== null && subscriptions.count > 0);
    if (waiting > (subscribed ? limits.pubsubOutputHardBytes : limits.outputMaximumBytes))
      return this.#cutSlowReader();
    if (subscribed && waiting > limits.pubsubOutputSoftBytes) {
      const now = Date.now();
      if (this.#softLimitSinceMs === 0) this.#softLimitSinceMs = now;
      else if (now - this.#softLimitSinceMs > limits.pubsubOutputSoftSeconds * 1000)
        return this.#cutSlowReader();
    } else {
      this.#softLimitSinceMs = 0;
    }
    // Not into the middle of a reply that is on its way in pieces.
    if (this.#head !== null && this.#head.streaming) this.#holdPush(bytes);
    else this.#write(bytes, 0, bytes.length);
  }

  /** As `push`, but after the replies of all requests under way: an invalidation must not overtake the read it is about. */
  pushAfterReplies(bytes: Buffer): void {
    if (this.#head === null) return this.push(bytes);
    const place = this.reserve(null);
    place.muted = false;
    place.part = -1;
    this.complete(place, bytes);
    if (this.#pending > PUSHES_MAXIMUM) this.#cutSlowReader();
  }

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    const meter = this.#router.meter;
    if (buf[start] === MINUS) meter.failed(buf, start, end);
    if (request.part >= 0) meter.answered(request.part, this.#turn.nowUs - request.startedUs);
    if (this.#retrying > 0) this.#settleRetries(request);
    request.state = REQUEST_DONE;
    if (request !== this.#head) {
      const { stash } = this.#router;
      stash.copy(buf, start, request.muted ? start : end);
      request.replyBuf = stash.buf;
      request.replyStart = stash.start;
      request.replyEnd = stash.end;
      this.holdReply(stash.end - stash.start);
      const head = this.#head!;
      if (head.state !== REQUEST_DONE) return;
      // Settled just now, for this one: nothing else would bring it on its way.
      this.#writeHeld(head);
      this.#advance();
      return;
    }
    if (!request.muted) this.#write(buf, start, end);
    this.#advance();
  }

  /** A reply, or a part of one, waits; a negative number: it does not any more. */
  holdReply(sizeBytes: number): void {
    this.#heldReplyBytes += sizeBytes;
    if (sizeBytes <= 0 || this.#heldReplyBytes <= OUTPUT_PAUSE_BYTES) return;
    this.stall(STALL_FULL);
    if (this.#heldReplyBytes > this.service.cache.limits.outputMaximumBytes) this.#cutSlowReader();
  }

  onPiece(request: Request, buf: Buffer, start: number, end: number): boolean {
    if (request !== this.#head || request.muted) return false;
    this.#write(buf, start, end);
    return true;
  }

  onLastPiece(request: Request, buf: Buffer, start: number, end: number): void {
    if (request.part >= 0)
      this.#router.meter.answered(request.part, this.#turn.nowUs - request.startedUs);
    this.#write(buf, start, end);
    if (this.#heldPushes !== null) this.#writeHeldPushes();
    this.#advance();
  }

  onBroken(): void {
    // Half a reply is out: nothing that follows could be understood.
    this.socket.destroy();
  }

  flush(): void {
    if (this.closed) return;
    this.#out.flushTo(this.socket);
    const waiting = this.socket.writableLength;
    if (waiting > OUTPUT_PAUSE_BYTES) {
      if (waiting > this.service.cache.limits.outputMaximumBytes) return this.#cutSlowReader();
      this.stall(STALL_OUTPUT);
    }
    this.#unstall(STALL_TURN);
    if (this.#head !== null) return;
    if (this.#closeAfterReplies || (this.#ended && this.#input.read)) this.#end();
  }

  // ---- what commands do with a session -------------------------------------------------------------------------------

  stall(reason: number): void {
    if ((this.#stall & reason) === 0 && reason !== STALL_BUSY && reason !== STALL_DRAIN)
      this.#router.meter.pauses++;
    this.#stall |= reason;
  }

  /** Ends STALL_BUSY. */
  release(): void {
    this.#unstall(STALL_BUSY);
  }

  /** Sends `bytes` (one request) on; the reply takes its place in order. */
  forward(
    planned: PlannedCommand | null,
    bytes: Buffer,
    start: number,
    end: number,
    slot: number,
  ): Request {
    const request = this.prepare(planned, bytes, start, end, slot);
    this.#router.route(request);
    return request;
  }

  /** As `forward`, without sending. */
  prepare(
    planned: PlannedCommand | null,
    bytes: Buffer,
    start: number,
    end: number,
    slot: number,
  ): Request {
    const request = this.#router.pool.take();
    request.sink = this;
    request.buf = bytes;
    request.start = start;
    request.end = end;
    request.lane = this.lane;
    request.slot = slot;
    if (planned !== null) {
      request.command = planned.command;
      request.part = planned.groupIndex;
      request.repeatable = planned.repeatable;
    } else {
      request.part = -1;
    }
    request.startedUs = this.#turn.nowUs;
    request.muted = this.client.muted;
    this.#enqueue(request);
    this.#pendingBytes += end - start;
    return request;
  }

  /** Lets the replies under way out, then closes. */
  closeAfterReplies(): void {
    this.#closeAfterReplies = true;
    this.stall(STALL_BUSY);
    this.#turn.flushSession(this);
  }

  destroy(): void {
    this.socket.destroy();
  }

  // ---- input ---------------------------------------------------------------------------------------------------------

  /** Bytes from the client: `chunk[0, length)`, which hold only until this returns. */
  onData(chunk: Buffer, length: number): void {
    this.#turn.tick();
    this.#router.meter.bytesIn += length;
    this.#input.receive(chunk, length);
  }

  /** See InputOwner. */
  get stalled(): boolean {
    return this.#stall !== 0;
  }

  get scanner(): RequestScanner {
    return this.service.scanner;
  }

  get requestMaximumBytes(): number {
    return this.service.cache.limits.requestMaximumBytes;
  }

  /** Sends one request on its way. False: nothing was done, come again when the stall is over. */
  takeRequest(
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
    stable: boolean,
  ): boolean {
    const router = this.#router;
    const planned = router.book!.lookup(buf, args);
    if (
      this.special ||
      planned === null ||
      planned.kind !== PLAN_FORWARD ||
      (this.reader && mayWrite(planned))
    ) {
      const taken = this.service.commands.dispatch(this, planned, buf, start, end, args);
      if (this.#pending >= PENDING_MAXIMUM || this.#pendingBytes > PENDING_MAXIMUM_BYTES)
        this.stall(STALL_FULL);
      return taken;
    }
    if (args.argc > this.service.cache.limits.argumentsMaximum)
      return this.service.commands.refuseSize(this, args);
    const command = planned.command;
    let slot = NO_SLOT;
    if (command.keysMode !== KEYS_NONE) {
      const key =
        command.keysMode === KEYS_FIXED
          ? command.firstKey < args.argc
            ? command.firstKey
            : 0
          : command.firstKeyOf(buf, args);
      if (key > 0) {
        const keyStart = args.argStart[key]!;
        const keyEnd = args.argEnd[key]!;
        if (keyEnd - keyStart > this.service.cache.limits.keyMaximumBytes) {
          return this.service.commands.refuseSize(this, args);
        }
        slot = hashSlot(buf, keyStart, keyEnd);
      }
    }
    if (!this.inStep()) return false;
    this.commands++;
    this.lastCommand = planned;
    this.lastCommandUs = this.#turn.nowUs;
    const request = this.prepare(planned, buf, start, end, slot);
    request.stable = stable;
    router.route(request);
    if (this.#pending >= PENDING_MAXIMUM || this.#pendingBytes > PENDING_MAXIMUM_BYTES)
      this.stall(STALL_FULL);
    this.#checkCongestion(request);
    return true;
  }

  /**
   * May the next request go by the slot map as it is now? Not while older ones, sent by an older map, are under way: two
   * commands for one key could change places. Nor while one waits for another try: this one would be executed first, and
   * the waiting one had to be given up. Then it stalls until they are answered.
   */
  inStep(): boolean {
    if (this.#epoch === this.#router.epoch && this.#retrying === 0) return true;
    if (this.#head !== null) {
      this.stall(STALL_DRAIN);
      return false;
    }
    this.#epoch = this.#router.epoch;
    this.#retrying = 0;
    return true;
  }

  /** True when nothing is under way; else stalls until nothing is. */
  drained(): boolean {
    if (this.#head === null) return true;
    this.stall(STALL_DRAIN);
    return false;
  }

  #checkCongestion(request: Request): void {
    const upstream = this.#router.congestedUpstream(request);
    if (upstream === null) return;
    this.stall(STALL_NODE);
    this.#router.connections.onceDrained(upstream, () => this.#unstall(STALL_NODE));
  }

  // ---- the list of requests under way --------------------------------------------------------------------------------

  #enqueue(request: Request): void {
    if (this.#tail === null) this.#head = request;
    else this.#tail.next = request;
    this.#tail = request;
    this.#pending++;
  }

  /** The head is answered: it leaves, and with it all behind it that are answered already. */
  #advance(): void {
    const pool = this.#router.pool;
    let head = this.#head!;
    for (;;) {
      const next = head.next;
      this.#pending--;
      this.#pendingBytes -= head.end - head.start;
      if (!head.superseded) pool.give(head);
      if (next === null) {
        this.#head = null;
        this.#tail = null;
        break;
      }
      head = next;
      this.#head = head;
      if (head.state !== REQUEST_DONE) break;
      this.#writeHeld(head);
    }
    if (this.#stall !== 0) this.#afterAdvance();
    if ((this.#closeAfterReplies || this.#ended) && this.#head === null)
      this.#turn.flushSession(this);
  }

  #afterAdvance(): void {
    if (this.#stall & STALL_DRAIN && this.#head === null) this.#unstall(STALL_DRAIN);
    if (
      this.#stall & STALL_FULL &&
      this.#pending < PENDING_MAXIMUM / 2 &&
      this.#pendingBytes < PENDING_MAXIMUM_BYTES / 2 &&
      this.#heldReplyBytes <= OUTPUT_PAUSE_BYTES
    ) {
      this.#unstall(STALL_FULL);
    }
  }

  /** Writes the reply of a request that was answered before its turn. */
  #writeHeld(request: Request): void {
    this.holdReply(request.replyStart - request.replyEnd);
    if (!request.muted) this.#write(request.replyBuf!, request.replyStart, request.replyEnd);
  }

  /** A request of this session has begun to wait for another try (see #settleRetries). */
  onRetrying(): void {
    this.#retrying++;
  }

  /**
   * Order: an earlier request for the same slot that waits for another try must not run after this one, which has just
   * run. It gets the error that made it wait.
   */
  #settleRetries(done: Request): void {
    let waiting = 0;
    let before = true;
    for (let request = this.#head; request !== null; request = request.next) {
      if (request === done) before = false;
      if (request.state !== REQUEST_RETRYING) continue;
      if (
        before &&
        request.slot === done.slot &&
        request.slot !== NO_COMMAND &&
        done.replyBuf === null
      ) {
        request.state = REQUEST_DONE;
        request.superseded = true;
        hideMove(request);
        this.holdReply(request.replyEnd - request.replyStart);
      } else {
        waiting++;
      }
    }
    this.#retrying = waiting;
  }

  // ---- output and the end --------------------------------------------------------------------------------------------

  #write(buf: Buffer, start: number, end: number): void {
    if (this.closed) return;
    this.#router.meter.bytesOut += end - start;
    this.#out.append(buf, start, end);
    if (this.#out.sizeBytes > OUTPUT_PAUSE_BYTES) this.#stall |= STALL_TURN;
    if (!this.flushScheduled) this.#turn.flushSession(this);
  }

  #holdPush(bytes: Buffer): void {
    (this.#heldPushes ??= []).push(bytes);
    this.#heldBytes += bytes.length;
  }

  #writeHeldPushes(): void {
    const held = this.#heldPushes ?? [];
    this.#heldPushes = null;
    this.#heldBytes = 0;
    for (const bytes of held) this.#write(bytes, 0, bytes.length);
  }

  #unstall(reason: number): void {
    if ((this.#stall & reason) === 0) return;
    this.#stall &= ~reason;
    if (this.#stall !== 0 || this.#resumeScheduled || this.closed) return;
    this.#resumeScheduled = true;
    // Not from here: this may be deep inside the handling of a reply.
    setImmediate(() => this.#resume());
  }

  #resume(): void {
    this.#resumeScheduled = false;
    if (this.#stall !== 0 || this.closed) return;
    this.#turn.tick();
    this.#input.resume();
    if (this.#ended) this.#turn.flushSession(this);
  }

  /** No node has answered since this proxy started: what the client asked cannot even be read. */
  #giveUpWaiting(): void {
    if (this.closed) return;
    this.reply(CLUSTER_DOWN);
    this.closeAfterReplies();
  }

  /** A protocol error: the last thing this client hears, as from the engine. */
  fail(text: string): void {
    this.reply(errorReply(text, 'latin1'));
    this.closeAfterReplies();
  }

  #cutSlowReader(): void {
    if (this.socket.destroyed) return;
    this.#router.meter.slowReadersCut++;
    this.#router.log.warn(
      { cache: this.service.cache.name, client: this.id, waitingBytes: this.outputBytes },
      'cut a client that does not read its replies',
    );
    this.socket.destroy();
  }

  /**
   * Closes our side: what is written still goes out. A client that keeps its own side open after that is not waited for;
   * closed at once, the connection could be reset before the client has read all.
   */
  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.socket.end(() => setTimeout(() => this.socket.destroy(), LINGER_MS).unref());
  }

  /** The client sends no more; what it asked is still answered. */
  #onEnd(): void {
    this.#ended = true;
    // A blocked command would take an element that nobody receives: the engine ends it as well.
    if (this.#onGone !== null) this.socket.destroy();
    else this.#turn.flushSession(this);
  }

  #onClose(): void {
    if (this.closed) return;
    this.closed = true;
    this.#out.clear();
    this.#input.clear();
    for (let request = this.#head; request !== null;) {
      const next: Request | null = request.next;
      request.next = null;
      // On its way: the reply is thrown away when it comes.
      request.sink = this.service.discard;
      request = next;
    }
    this.#head = null;
    this.#tail = null;
    this.#onGone?.();
    this.service.forget(this);
  }
}

const MINUS = 45;
const ADMIN_GROUP = COMMAND_GROUPS.indexOf('admin');
