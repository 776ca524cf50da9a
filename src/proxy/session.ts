/**
 * One client connection: takes the requests from its bytes and sends each on its way. Plain forwarded commands are handled
 * here without detour; everything else goes to `SessionCommands`.
 *
 *   bytes -> SessionInput -> takeRequest -> router ... reply -> SessionReplies (their order) -> SessionOutput -> bytes
 *
 * Reading stops while something must not be overtaken or a queue is full (Stalls).
 */
import type { Socket } from 'node:net';
import { COMMAND_GROUPS } from '../model/usage.ts';
import { FLAG_READONLY, FLAG_WRITE, type RequestArguments } from '../protocol/command-table.ts';
import type { RequestScanner } from '../protocol/request-scanner.ts';
import type { CacheService } from './cache-service.ts';
import type { ClientState } from './client-state.ts';
import type { PlannedCommand } from './command-book.ts';
import { PLAN_FORWARD } from './command-plan.ts';
import { SMALL_BYTES, type MemoryHolder } from './io/client-memory.ts';
import type { Turn } from './io/turn.ts';
import { NEAR_PASSED, NEAR_SERVED, type NearSession } from './near-cache/near-cache.ts';
import type { NearView } from './near-cache/near-view.ts';
import { CLUSTER_DOWN, errorReply } from './proxy-error.ts';
import {
  LIMIT_ADMITTED,
  LIMIT_REFUSED,
  LIMIT_WAIT,
  type LimitedClient,
  type LimitVerdict,
} from './request-limit.ts';
import { NO_COMMAND } from './retry-order.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import type { Lane } from './routing/lane.ts';
import { LARGE_REQUEST_BYTES, NO_SLOT, type Request } from './routing/request.ts';
import { SessionInput, type InputOwner } from './session-input.ts';
import { SessionOutput, type OutputOwner } from './session-output.ts';
import { SessionReplies } from './session-replies.ts';
import { KEY_TOO_LONG, slotOf } from './slot-of.ts';
import {
  STALL_BUSY,
  STALL_CLOSING,
  STALL_DRAIN,
  STALL_FULL,
  STALL_LIMIT,
  STALL_NODE,
  STALL_START,
  Stalls,
} from './stalls.ts';

/** Invalidations that may wait behind replies, requests included. */
const PUSHES_MAXIMUM = 100_000;

export class Session implements InputOwner, OutputOwner, MemoryHolder, NearSession, LimitedClient {
  readonly id: number;
  readonly service: CacheService;
  readonly socket: Socket;
  readonly client: ClientState;
  readonly createdAtMs = Date.now();
  /** On the reader port. */
  readonly reader: boolean;
  authenticated = false;
  /** Not plain forwarding: a transaction, RESP2 subscriptions, CLIENT REPLY, tracking, no login. */
  special = false;
  lane: Lane | null = null;
  closed = false;
  /** Our side of the connection is closed: it gets nothing any more. */
  left = false;
  /** When the last command came (Turn's clock), and its name: for CLIENT LIST. */
  lastCommandUs = 0;
  lastCommand: PlannedCommand | null = null;
  commands = 0;
  memoryCounted = false;
  /** Null: it has asked for nothing since the cache has a near cache. */
  nearView: NearView | null = null;

  readonly #router: CacheRouter;
  readonly #turn: Turn;
  readonly #stalls: Stalls;
  readonly #input: SessionInput;
  readonly #output: SessionOutput;
  readonly #replies: SessionReplies;
  /** The slot map by which the requests under way were sent. */
  #epoch = 0;
  /** The request at hand has taken its token, though it has to come again. */
  #admitted = false;
  #closeAfterReplies = false;
  /** Commands whose replies go before what is pushed meanwhile. */
  #holds = 0;
  /** The client sends no more. */
  #ended = false;
  #onGone: (() => void) | null = null;

  constructor(
    service: CacheService,
    socket: Socket,
    id: number,
    reader: boolean,
    client: ClientState,
  ) {
    const { router } = service;
    this.id = id;
    this.service = service;
    this.socket = socket;
    this.reader = reader;
    this.client = client;
    this.#router = router;
    this.#turn = router.turn;
    this.#epoch = router.epoch;
    this.#stalls = new Stalls(router.meter, () => this.#resume());
    this.#input = new SessionInput(this);
    this.#output = new SessionOutput(this, router, this.#stalls);
    this.#replies = new SessionReplies(router, this.#output, this.#stalls);
    socket.on('error', () => socket.destroy());
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#onClose());
    if (!router.ready) this.#waitForStart();
  }

  /** Requests under way. */
  get pending(): number {
    return this.#replies.pending;
  }

  get outputBytes(): number {
    return this.#output.sizeBytes;
  }

  get inputBytes(): number {
    return this.#input.sizeBytes;
  }

  /** See MemoryHolder. */
  get memoryBytes(): number {
    const transaction = this.client.transaction?.queued.sizeBytes ?? 0;
    return this.#input.sizeBytes + this.#replies.sizeBytes + this.#output.sizeBytes + transaction;
  }

  /** See MemoryHolder. */
  get memorySpared(): boolean {
    return this.client.noEvict;
  }

  noteMemory(): void {
    if (!this.closed && !this.socket.destroyed) this.service.memory.note(this);
  }

  /** One that is sending a request can be told; one that does not read cannot. */
  cutForMemory(): void {
    const { memoryBytes } = this;
    const sending = this.#input.sizeBytes > memoryBytes / 2 && this.outputBytes === 0;
    this.#input.clear();
    this.#output.tellCut(
      'cut the client for which most is held: all together is too much',
      memoryBytes,
    );
    if (sending) this.fail(OUT_OF_MEMORY);
    else this.socket.destroy();
  }

  /** Called when the connection closes: a blocked command's connection goes with it. */
  set onGone(callback: (() => void) | null) {
    this.#onGone = callback;
    if (callback === null) return;
    if (this.closed) callback();
    // Nothing is read from it any more, so nothing would ever tell that it has gone.
    else if (this.#ended) this.socket.destroy();
  }

  // ---- requests ------------------------------------------------------------------------------------------------------

  /** Bytes from the client: `chunk[0, length)`, which hold only until this returns. */
  onData(chunk: Buffer, length: number): void {
    this.#turn.tick();
    this.#router.meter.bytesIn += length;
    this.#input.receive(chunk, length);
  }

  /** See InputOwner. */
  get stalled(): boolean {
    return this.#stalls.reasons !== 0;
  }

  get scanner(): RequestScanner {
    return this.service.scanner;
  }

  get requestMaximumBytes(): number {
    return this.service.cache.limits.requestMaximumBytes;
  }

  /** Sends one request on its way. False: nothing was done, come again when the stall is over. Hot. */
  takeRequest(
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
    stable: boolean,
  ): boolean {
    const planned = this.#router.book!.lookup(buf, args);
    if (!this.#router.limit.active) return this.#take(planned, buf, start, end, args, stable);
    const verdict = this.#askLimit(planned);
    if (verdict === LIMIT_WAIT) return false;
    if (verdict === LIMIT_REFUSED) return this.service.commands.refuseOverLimit(this, planned!);
    const taken = this.#take(planned, buf, start, end, args, stable);
    if (taken) this.#admitted = false;
    return taken;
  }

  /** Hot. */
  #take(
    planned: PlannedCommand | null,
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
    stable: boolean,
  ): boolean {
    const router = this.#router;
    if (
      this.special ||
      planned === null ||
      planned.kind !== PLAN_FORWARD ||
      end - start > LARGE_REQUEST_BYTES ||
      (this.reader && mayWrite(planned))
    ) {
      const taken = this.service.commands.dispatch(this, planned, buf, start, end, args);
      router.near?.passed(this, planned);
      if (this.#replies.full) this.#stalls.begin(STALL_FULL);
      if ((this.client.transaction?.queued.sizeBytes ?? 0) > SMALL_BYTES) this.noteMemory();
      return taken;
    }
    const limits = router.cache.limits;
    if (args.argc > limits.argumentsMaximum) return this.service.commands.refuseSize(this, args);
    const slot = slotOf(planned.command, buf, args, limits.keyMaximumBytes);
    if (slot === KEY_TOO_LONG) return this.service.commands.refuseSize(this, args);
    if (!this.inStep()) return false;
    // Before the near cache: what it answers is no less asked for.
    if (router.heat.watched !== null) this.#noteKey(planned, slot, buf, args);
    if (router.near !== null) {
      const near = router.near.take(this, planned, buf, start, end, args, slot);
      if (near !== NEAR_PASSED) return near === NEAR_SERVED;
    }
    this.commands++;
    this.lastCommand = planned;
    this.lastCommandUs = this.#turn.nowUs;
    const request = this.prepare(planned, buf, start, end, slot);
    request.stable = stable;
    router.route(request);
    if (this.#replies.full) this.#stalls.begin(STALL_FULL);
    this.#checkCongestion(request);
    return true;
  }

  /** May the command be sent on, by the cache's request limit? A transaction asks once, when it is executed. */
  #askLimit(planned: PlannedCommand | null): LimitVerdict {
    if (this.#admitted || planned === null || !this.authenticated) return LIMIT_ADMITTED;
    const { transaction } = this.client;
    let { weight } = planned;
    if (transaction?.open === true)
      weight = planned.command.name === 'exec' ? transaction.queued.weight : 0;
    if (weight === 0) return LIMIT_ADMITTED;
    const verdict = this.#router.limit.admit(this);
    if (verdict === LIMIT_WAIT) this.#stalls.begin(STALL_LIMIT);
    this.#admitted = verdict === LIMIT_ADMITTED;
    return verdict;
  }

  /** See LimitedClient. */
  onAdmitted(): void {
    this.#stalls.end(STALL_LIMIT);
  }

  /**
   * May the next request go by the slot map as it is now? Not while older ones, sent by an older map, are under way: two
   * commands for one key could change places. Nor while one waits for another try: this one would be executed first, and
   * the waiting one had to be given up. Then it stalls until they are answered.
   */
  inStep(): boolean {
    if (this.#epoch === this.#router.epoch && !this.#replies.retrying) return true;
    if (!this.drained()) return false;
    this.#epoch = this.#router.epoch;
    return true;
  }

  /** True when nothing is under way; else stalls until nothing is. */
  drained(): boolean {
    if (this.#replies.empty) return true;
    this.#stalls.begin(STALL_DRAIN);
    return false;
  }

  /** Nothing more is read while the stall lasts (stalls.ts). */
  stall(reason: number): void {
    this.#stalls.begin(reason);
  }

  /** Ends STALL_BUSY. */
  release(): void {
    this.#stalls.end(STALL_BUSY);
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
    request.buf = bytes;
    request.start = start;
    request.end = end;
    request.lane = this.lane;
    request.slot = slot;
    if (planned !== null) {
      request.command = planned.command;
      request.part = planned.groupIndex;
      request.repeatable = planned.repeatable;
      request.weight = planned.weight;
      request.staysInSlot = planned.staysInSlot;
    } else {
      request.part = -1;
    }
    request.startedUs = this.#turn.nowUs;
    request.muted = this.client.muted;
    if (end - start > LARGE_REQUEST_BYTES) {
      request.stable = true;
      request.alone = this.goesAlone(end - start);
    }
    this.#replies.enqueue(request, end - start);
    return request;
  }

  /**
   * May what is sent next have a connection for itself? A large request, when nothing is under way that it could overtake;
   * and what comes after it waits until it is answered. Asked right before its place is taken.
   */
  goesAlone(sizeBytes: number): boolean {
    if (sizeBytes <= LARGE_REQUEST_BYTES || !this.#replies.empty) return false;
    this.#stalls.begin(STALL_DRAIN);
    return true;
  }

  #noteKey(planned: PlannedCommand, slot: number, buf: Buffer, args: RequestArguments): void {
    const { heat } = this.#router;
    if (slot < 0 || heat.watched![slot] === 0) return;
    const { command } = planned;
    const key = command.firstKeyOf(buf, args);
    const isRead = (command.flags & FLAG_READONLY) !== 0;
    heat.noteKey(slot, buf, args.argStart[key]!, args.argEnd[key]!, isRead);
  }

  #checkCongestion(request: Request): void {
    const upstream = this.#router.congestedUpstream(request);
    if (upstream === null) return;
    this.#stalls.begin(STALL_NODE);
    this.#router.connections.onceDrained(upstream, () => this.#stalls.end(STALL_NODE));
  }

  // ---- replies -------------------------------------------------------------------------------------------------------

  /** Answers the command at hand, after all that are under way. */
  reply(bytes: Buffer): void {
    // What is queued in a transaction is charged when that is executed.
    const queued = this.client.transaction?.open === true;
    this.#answer(bytes, queued ? 0 : (this.lastCommand?.weight ?? 0));
  }

  /** As `reply`, for a command that was not let in. */
  refuse(bytes: Buffer): void {
    this.#answer(bytes, 0);
  }

  #answer(bytes: Buffer, weight: number): void {
    if (this.#replies.empty) {
      const { meter, heat, limit } = this.#router;
      meter.answered(this.lastCommand?.groupIndex ?? ADMIN_GROUP, 0);
      if (weight > 0) {
        const ecpu = heat.count(NO_SLOT, weight, 0, bytes.length);
        if (limit.active) limit.charge(ecpu - 1);
      }
      if (bytes[0] === MINUS) meter.failed(bytes, 0, bytes.length);
      if (!this.client.muted) this.#output.write(bytes, 0, bytes.length);
      return;
    }
    const place = this.reserve(null);
    place.weight = weight;
    this.complete(place, bytes);
  }

  /** See NearSession. */
  answerNear(planned: PlannedCommand, requestBytes: number, reply: Buffer): void {
    this.commands++;
    this.lastCommand = planned;
    this.lastCommandUs = this.#turn.nowUs;
    if (!this.#replies.empty) {
      this.complete(this.reserve(planned, requestBytes), reply);
      if (this.#replies.full) this.#stalls.begin(STALL_FULL);
      return;
    }
    const { meter, heat, limit } = this.#router;
    meter.answered(planned.groupIndex, 0);
    // Charged like any other, but no node's and so no slot's.
    const ecpu = heat.count(NO_SLOT, planned.weight, requestBytes, reply.length);
    if (limit.active) limit.charge(ecpu - 1);
    this.#output.write(reply, 0, reply.length);
  }

  /** See NearSession. */
  wait(): void {
    this.#stalls.begin(STALL_BUSY);
  }

  get oldest(): Request | null {
    return this.#replies.oldest;
  }

  get nextSequence(): number {
    return this.#replies.nextSequence;
  }

  /** Keeps the place of the next reply; `complete` fills it. `sizeBytes`: what is under way in its stead. */
  reserve(planned: PlannedCommand | null, sizeBytes = 0): Request {
    const request = this.#router.pool.take();
    request.start = 0;
    request.end = sizeBytes;
    request.slot = NO_COMMAND;
    request.command = planned?.command ?? null;
    request.part = planned?.groupIndex ?? ADMIN_GROUP;
    request.weight = planned?.weight ?? 0;
    request.startedUs = this.#turn.nowUs;
    request.muted = this.client.muted;
    this.#replies.enqueue(request, sizeBytes);
    return request;
  }

  complete(request: Request, bytes: Buffer): void {
    this.#replies.onReply(request, bytes, 0, bytes.length);
  }

  /** As `complete`, with a reply in parts, at least one, that nobody changes any more. */
  completeParts(request: Request, parts: Buffer[]): void {
    request.replyParts = parts;
    this.complete(request, parts[0]!);
  }

  /** A part of a reply waits for the others; a negative number: it does not any more. */
  holdReply(sizeBytes: number): void {
    this.#replies.hold(sizeBytes);
  }

  /** A part of what stands in a place that was reserved has been answered. */
  onPartAnswered(part: Request, place: Request): void {
    this.#replies.onPartAnswered(part, place);
  }

  /** Of what stands in a place that was reserved; see RequestSink. */
  mayTryAgain(place: Request, tick: number): boolean {
    return this.#replies.mayTryAgain(place, tick);
  }

  /** What stands in a place that was reserved has begun to wait for another try. */
  onRetrying(): void {
    this.#replies.onRetrying();
  }

  /** Bytes that are no reply: pushes, messages. */
  push(bytes: Buffer): void {
    this.#output.push(bytes, this.#replies.midReply || this.#holds > 0);
  }

  /** Until `releasePushes`: the reply to the command at hand goes first. Each hold is released once. */
  holdPushes(): void {
    this.#holds++;
  }

  /** What has waited goes now, whatever else holds: who always has a command under way would never hear anything. */
  releasePushes(): void {
    this.#holds--;
    if (!this.#replies.midReply) this.#output.writeHeldPushes();
  }

  /** As `push`, but after the replies of all requests under way: an invalidation must not overtake the read it is about. */
  pushAfterReplies(bytes: Buffer): void {
    if (this.#replies.empty) return this.push(bytes);
    const place = this.reserve(null);
    place.muted = false;
    place.part = -1;
    this.complete(place, bytes);
    if (this.pending > PUSHES_MAXIMUM) this.#output.cutSlowReader();
  }

  // ---- beginning and end ---------------------------------------------------------------------------------------------

  /** Lets the replies under way out, then closes. */
  closeAfterReplies(): void {
    this.#closeAfterReplies = true;
    this.stall(STALL_CLOSING);
    this.#finish();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** A protocol error: the last thing this client hears, as from the engine. */
  fail(text: string): void {
    this.reply(errorReply(text, 'latin1'));
    this.closeAfterReplies();
  }

  /** See OutputOwner. */
  onFlushed(): void {
    if (!this.#replies.last || !this.#replies.empty) return;
    if (this.#closeAfterReplies || this.#input.read) this.#leave();
  }

  /** All is said. For the other clients this one is gone now, however long it keeps its side open. */
  #leave(): void {
    this.#output.end();
    if (this.left) return;
    this.left = true;
    this.service.commands.onClosed(this);
  }

  #waitForStart(): void {
    this.stall(STALL_START);
    const patience = setTimeout(() => this.#giveUpWaiting(), this.service.cache.deadlineMs);
    patience.unref();
    this.#router.whenReady(() => {
      clearTimeout(patience);
      this.#stalls.end(STALL_START);
    });
  }

  /** No node has answered since this proxy started: what the client asked cannot even be read. */
  #giveUpWaiting(): void {
    if (this.closed) return;
    this.reply(CLUSTER_DOWN);
    this.closeAfterReplies();
  }

  #resume(): void {
    if (this.closed) return;
    this.#turn.tick();
    this.#input.resume();
    if (this.#router.limit.active) this.#router.limit.settle(this);
    if (this.#ended) this.#output.flushSoon();
  }

  /** Has the connection closed on our side once all is answered and written. */
  #finish(): void {
    this.#replies.last = true;
    this.#output.flushSoon();
  }

  /** The client sends no more; what it asked is still answered. */
  #onEnd(): void {
    this.#ended = true;
    // A blocked command would take an element that nobody receives: the engine ends it as well.
    if (this.#onGone !== null) this.socket.destroy();
    else this.#finish();
  }

  #onClose(): void {
    if (this.closed) return;
    this.closed = true;
    this.left = true;
    this.service.memory.drop(this);
    this.#router.limit.leave(this);
    this.#output.close();
    this.#input.clear();
    this.#replies.abandon(this.service.discard);
    this.#onGone?.();
    this.service.forget(this);
  }
}

function mayWrite({ command, group }: PlannedCommand): boolean {
  return (command.flags & FLAG_WRITE) !== 0 || group === 'script';
}

const OUT_OF_MEMORY =
  'ERR this request and what other clients have under way take more memory than this endpoint may use; try again later';
const MINUS = 45;
const ADMIN_GROUP = COMMAND_GROUPS.indexOf('admin');
