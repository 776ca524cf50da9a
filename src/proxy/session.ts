/**
 * One client connection: takes the requests from its bytes and sends each on its way. Plain forwarded commands are handled
 * here without detour; everything else goes to `SessionCommands`.
 *
 *   bytes -> SessionInput -> takeRequest -> router ... reply -> SessionReplies (their order) -> SessionOutput -> bytes
 *
 * Reading stops while something must not be overtaken or a queue is full (Stalls).
 */
import type { Socket } from 'node:net';
import { FLAG_READONLY, FLAG_WRITE, type RequestArguments } from '../protocol/command-table.ts';
import type { RequestScanner } from '../protocol/request-scanner.ts';
import type { CacheService } from './cache-service.ts';
import type { ClientState } from './client-state.ts';
import type { PlannedCommand } from './command-book.ts';
import { PLAN_FORWARD } from './command-plan.ts';
import type { Turn } from './io/turn.ts';
import { NEAR_PASSED, NEAR_SERVED, type NearSession } from './near-cache/near-cache.ts';
import type { NearView } from './near-cache/near-view.ts';
import { CLUSTER_DOWN, errorReply } from './proxy-error.ts';
import { LIMIT_REFUSED, LIMIT_WAIT } from './request-limit.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import type { Lane } from './routing/lane.ts';
import { LARGE_REQUEST_BYTES, type Request } from './routing/request.ts';
import { SessionAnswers } from './session-answers.ts';
import { SessionEnd } from './session-end.ts';
import { SessionInput, type InputOwner } from './session-input.ts';
import { SessionLimit } from './session-limit.ts';
import { SessionMemory } from './session-memory.ts';
import { SessionOutput, type OutputOwner } from './session-output.ts';
import { SessionPushes } from './session-pushes.ts';
import { SessionReplies } from './session-replies.ts';
import { KEY_TOO_LONG, slotOf } from './slot-of.ts';
import { STALL_BUSY, STALL_DRAIN, STALL_FULL, STALL_NODE, STALL_START, Stalls } from './stalls.ts';

export class Session implements InputOwner, OutputOwner, NearSession {
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
  /** When the last command came (Turn's clock), and its name: for CLIENT LIST. */
  lastCommandUs = 0;
  lastCommand: PlannedCommand | null = null;
  commands = 0;
  /** Null: it has asked for nothing since the cache has a near cache. */
  nearView: NearView | null = null;

  readonly input: SessionInput;
  readonly output: SessionOutput;
  readonly replies: SessionReplies;
  readonly answers: SessionAnswers;
  readonly pushes: SessionPushes;
  readonly memory: SessionMemory;
  readonly end: SessionEnd;
  readonly #router: CacheRouter;
  readonly #turn: Turn;
  readonly #stalls: Stalls;
  readonly #limit: SessionLimit;
  /** The slot map by which the requests under way were sent. */
  #epoch = 0;

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
    this.memory = new SessionMemory(this);
    this.input = new SessionInput(this);
    this.output = new SessionOutput(this, router, this.#stalls);
    this.replies = new SessionReplies(router, this.output, this.#stalls);
    this.answers = new SessionAnswers(router, client, this.replies, this.output);
    this.pushes = new SessionPushes(this.answers, this.replies, this.output);
    this.#limit = new SessionLimit(router.limit, client, this.#stalls);
    this.end = new SessionEnd(this);
    if (!router.ready) this.#waitForStart();
  }

  // ---- requests ------------------------------------------------------------------------------------------------------

  /** Bytes from the client: `chunk[0, length)`, which hold only until this returns. */
  onData(chunk: Buffer, length: number): void {
    this.#turn.tick();
    this.#router.meter.bytesIn += length;
    this.input.receive(chunk, length);
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
    if (planned !== null && this.authenticated) {
      const verdict = this.#limit.ask(planned);
      if (verdict === LIMIT_WAIT) return false;
      if (verdict === LIMIT_REFUSED) return this.service.commands.refuseOverLimit(this, planned);
    }
    const taken = this.#take(planned, buf, start, end, args, stable);
    if (taken) this.#limit.taken();
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
      if (this.replies.full) this.#stalls.begin(STALL_FULL);
      this.memory.noteQueued();
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
    if (this.replies.full) this.#stalls.begin(STALL_FULL);
    this.#checkCongestion(request);
    return true;
  }

  /**
   * May the next request go by the slot map as it is now? Not while older ones, sent by an older map, are under way: two
   * commands for one key could change places. Nor while one waits for another try: this one would be executed first, and
   * the waiting one had to be given up. Then it stalls until they are answered.
   */
  inStep(): boolean {
    if (this.#epoch === this.#router.epoch && !this.replies.retrying) return true;
    if (!this.drained()) return false;
    this.#epoch = this.#router.epoch;
    return true;
  }

  /** True when nothing is under way; else stalls until nothing is. */
  drained(): boolean {
    if (this.replies.empty) return true;
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
    this.replies.enqueue(request, end - start);
    return request;
  }

  /**
   * May what is sent next have a connection for itself? A large request, when nothing is under way that it could overtake;
   * and what comes after it waits until it is answered. Asked right before its place is taken.
   */
  goesAlone(sizeBytes: number): boolean {
    if (sizeBytes <= LARGE_REQUEST_BYTES || !this.replies.empty) return false;
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
    this.answers.add(this.lastCommand, queued ? 0 : (this.lastCommand?.weight ?? 0), 0, bytes);
  }

  /** As `reply`, for a command that was not let in. */
  refuse(bytes: Buffer): void {
    this.answers.add(this.lastCommand, 0, 0, bytes);
  }

  /** See NearSession. */
  answerNear(planned: PlannedCommand, requestBytes: number, reply: Buffer): void {
    this.commands++;
    this.lastCommand = planned;
    this.lastCommandUs = this.#turn.nowUs;
    this.answers.add(planned, planned.weight, requestBytes, reply);
    if (this.replies.full) this.#stalls.begin(STALL_FULL);
  }

  /** See NearSession. */
  wait(): void {
    this.#stalls.begin(STALL_BUSY);
  }

  get oldest(): Request | null {
    return this.replies.oldest;
  }

  get nextSequence(): number {
    return this.replies.nextSequence;
  }

  // ---- beginning and end ---------------------------------------------------------------------------------------------

  destroy(): void {
    this.socket.destroy();
  }

  /** A protocol error: the last thing this client hears, as from the engine. */
  fail(text: string): void {
    this.reply(errorReply(text, 'latin1'));
    this.end.closeAfterReplies();
  }

  /** See OutputOwner. */
  onFlushed(): void {
    this.end.onFlushed();
  }

  /** The connection is gone. */
  onClosed(): void {
    this.closed = true;
    this.memory.drop();
    this.#limit.leave();
    this.output.close();
    this.input.clear();
    this.replies.abandon(this.service.discard);
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
    this.end.closeAfterReplies();
  }

  #resume(): void {
    if (this.closed) return;
    this.#turn.tick();
    this.input.resume();
    this.#limit.settle();
    this.end.onResumed();
  }
}

function mayWrite({ command, group }: PlannedCommand): boolean {
  return (command.flags & FLAG_WRITE) !== 0 || group === 'script';
}
