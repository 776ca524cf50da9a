/**
 * One node as it is: its process, if there is one, the link to it, and what it said last. It outlives the process, so that
 * the next one is started knowing how the last ones ended.
 *
 *   gone --starting--> runs (answers <-> silent <-> busy or hung) --stopping, or by itself--> gone
 */
import type { Logger } from 'pino';
import { NodeReplyError, type AdminClient } from '../engine/admin-client.ts';
import type { HostedNode, NodeActivity } from '../engine/host.ts';
import type { NodeStatus } from '../model/admin-api.ts';
import { AsideLinks } from './aside-links.ts';
import { NodeLink, unreachable } from './node-link.ts';
import {
  observationOf,
  parseClusterNodes,
  parseInfo,
  type ClusterPeer,
  type NodeObservation,
} from './node-observation.ts';
import {
  ANSWERS,
  describeHang,
  judgePulse,
  type Pulse,
  type PulseSample,
} from './policies/judge-pulse.ts';
import type { NodeRecord } from './store-records.ts';

export interface NodeWatcher {
  /** It runs, does not answer, and is not busy: `why` says what its process does instead. */
  onHung(nodeId: string, why: string, silentMs: number): void;
  /** It has not answered for long, but works. */
  onBusy(nodeId: string, silentMs: number): void;
  /** After onHung or onBusy: it answers again. */
  onAnswersAgain(nodeId: string, silentMs: number): void;
  /** It says that it has another role than the last time. */
  onRoleChange(nodeId: string): void;
}

export interface ObserveOptions {
  readonly timeoutMs?: number;
  /** Ask for CLUSTER NODES too. */
  readonly cluster?: boolean;
}

const INFO_SECTIONS = [
  'server', 'memory', 'persistence', 'stats', 'replication', 'cpu', 'keyspace',
]; // prettier-ignore
const OBSERVE_TIMEOUT_MS = 2_000;
/** After that it is asked again, should the question have been lost; its silence goes on. */
const PING_TIMEOUT_MS = 10_000;
/** Silence of a node that is busy is worth an event after this long. */
const BUSY_TOLD_AFTER_MS = 4_000;
/** A node that dies this soon after its start, and again, is started with growing delay. */
const YOUNG_MS = 10_000;
const RESTART_DELAY_LAST_MS = 10_000;

export class FleetNode {
  readonly id: string;
  /** Somebody is starting it, or ending it: its end is no news. */
  starting = false;
  stopping = false;
  /** Starts that failed, in a row, and how the last one did. */
  failedStarts = 0;
  lastStartFailure: unknown = null;
  readonly #watcher: NodeWatcher;
  readonly #log: Logger;
  #process: HostedNode | null = null;
  #presumed = false;
  #link: NodeLink | null = null;
  #asides: AsideLinks | null = null;
  #password = '';
  #observation: NodeObservation | null = null;
  #peers: readonly ClusterPeer[] | null = null;
  /** Null: it ran before this daemon did, and has not said yet. */
  #hasData: boolean | null = false;
  #silentSinceMs: number | null = null;
  /** Questions without an answer, in a row. */
  #silences = 0;
  #pulse: Pulse = ANSWERS;
  /** What was told of its silence, if anything was. */
  #told: 'hung' | 'busy' | null = null;
  /** A PING is under way, or there is no connection to send one on. */
  #owes = false;
  #pinging = false;
  #feltAtMs = 0;
  /** Ends the questions that a node will not answer, once that is known. */
  #patience = new AbortController();
  #goneSinceMs: number | null = Date.now();
  #startedAtMs = 0;
  #youngDeaths = 0;

  constructor(id: string, watcher: NodeWatcher, log: Logger) {
    this.id = id;
    this.#watcher = watcher;
    this.#log = log;
  }

  /** Whether there may be a process: one on a host that cannot be reached may be. */
  get isAlive(): boolean {
    return this.#process !== null || this.#presumed;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Its host could not be asked whether it runs. */
  presume(): void {
    this.#presumed = true;
  }

  get isPresumed(): boolean {
    return this.#presumed;
  }

  get observation(): NodeObservation | null {
    return this.#observation;
  }

  get peers(): readonly ClusterPeer[] | null {
    return this.#peers;
  }

  /** It has, or may have, what its primary acknowledged. */
  get hasData(): boolean {
    return this.#hasData !== false;
  }

  /** @throws NodeError NODE_UNREACHABLE */
  get admin(): AdminClient {
    if (this.#link === null) throw unreachable(this.id);
    return this.#link.admin;
  }

  /** How often, in a row, it did not come to run or ended soon after. */
  get failedRuns(): number {
    return this.failedStarts + this.#youngDeaths;
  }

  /** How long it has run, as far as this daemon has seen; 0 for one that does not. */
  get runsForMs(): number {
    return this.#process === null ? 0 : Date.now() - this.#startedAtMs;
  }

  get goneForMs(): number {
    return this.#goneSinceMs === null ? 0 : Date.now() - this.#goneSinceMs;
  }

  /** What its process does instead of answering, in words; null while it answers or is busy. */
  get hangs(): string | null {
    return this.#pulse.state === 'hung' ? describeHang(this.#pulse) : null;
  }

  /** How long it runs without answering; 0 when it answers. */
  get silentForMs(): number {
    if (this.hangs !== null) return this.#pulse.silentMs;
    // One late answer is no silence: this process itself may have been held up.
    if (this.#silentSinceMs === null || this.#silences < 3) return 0;
    return Date.now() - this.#silentSinceMs;
  }

  /** Milliseconds to wait before a node that keeps dying young may be started again. */
  get restartDueInMs(): number {
    if (this.#youngDeaths <= 1) return 0;
    const delayMs = Math.min(RESTART_DELAY_LAST_MS, 250 * 2 ** (this.#youngDeaths - 2));
    return Math.max(0, delayMs - this.goneForMs);
  }

  /** @param role what the node is meant to be; while it is not, it is on its way */
  state(role: NodeRecord['role']): NodeStatus['state'] {
    if (this.stopping) return 'stopping';
    if (this.starting) return 'starting';
    if (this.#process === null || this.#told !== null) return 'lost';
    const seen = this.#observation;
    if (seen === null) return 'starting';
    if (role === 'replica' && seen.role !== 'replica') return 'starting';
    return seen.loading || (seen.role === 'replica' && !seen.linkUp) ? 'syncing' : 'online';
  }

  /**
   * Takes a process as this node's, and connects to it.
   *
   * @param isNew started just now, with nothing in it
   */
  async attach(process: HostedNode, password: string, isNew: boolean): Promise<void> {
    this.#process = process;
    this.#presumed = false;
    this.#password = password;
    this.#observation = null;
    this.#peers = null;
    this.#hasData = isNew ? false : null;
    this.#silentSinceMs = null;
    this.#silences = 0;
    this.#quiet();
    this.#goneSinceMs = null;
    this.#startedAtMs = Date.now();
    await this.connect();
  }

  /** Talks to its process, if it is not about to end. */
  async connect(): Promise<void> {
    if (this.#process === null || this.stopping) return;
    this.#link = new NodeLink(this.#process, this.#password, this.#log);
    await this.#link.open();
  }

  /** Talks to it no more; the process goes on. */
  disconnect(): void {
    this.#link?.close();
    this.#link = null;
    this.#asides?.close();
    this.#asides = null;
  }

  /** The process was ended. */
  ended(): void {
    this.#process = null;
    this.#presumed = false;
    this.#observation = null;
    this.#quiet();
    this.#goneSinceMs = Date.now();
  }

  /** The process was seen to be gone. */
  died(): void {
    this.#process = null;
    this.#presumed = false;
    this.disconnect();
    this.#observation = null;
    this.#quiet();
    this.#goneSinceMs = Date.now();
    const young = Date.now() - this.#startedAtMs < YOUNG_MS;
    this.#youngDeaths = young ? this.#youngDeaths + 1 : 0;
  }

  /** As `call`, for commands that hold up the connection they are sent on (aside-links.ts). */
  async callAside(args: readonly (string | number)[], timeoutMs: number): Promise<unknown> {
    const process = this.#process;
    if (process === null) throw unreachable(this.id);
    this.#asides ??= new AsideLinks(async () => {
      const link = new NodeLink(process, this.#password, this.#log);
      await link.open();
      return link;
    });
    return this.#asides.call(args.map(String), timeoutMs, this.#patience.signal);
  }

  /** @throws NodeError when it does not answer in time or answers with an error */
  async call(args: readonly (string | number)[], timeoutMs: number): Promise<unknown> {
    const [name = '', ...rest] = args.map(String);
    return this.admin.callWith({ timeoutMs, signal: this.#patience.signal }, name, ...rest);
  }

  /** Its pulse is to be felt: it runs, and nobody is about to change that. */
  get isWatched(): boolean {
    return this.#process !== null && !this.starting && !this.stopping;
  }

  /** It has not answered the last PING yet. */
  get owesAnswer(): boolean {
    return this.#owes;
  }

  /**
   * Sends a PING unless one is under way.
   *
   * @param clockMs of PulseWatch
   */
  ping(clockMs: number): void {
    const process = this.#process;
    if (this.#pinging) return;
    if (!this.#owes) this.#feltAtMs = clockMs;
    this.#owes = true;
    // Without a connection it owes one all the same: a process that is stopped takes no new ones.
    if (this.#link === null || !this.#link.isOpen) return;
    this.#pinging = true;
    const done = (answered: boolean) => {
      this.#pinging = false;
      if (!answered || this.#process !== process) return;
      this.#owes = false;
      this.#felt({ elapsedMs: 0, answered: true, activity: null });
    };
    this.#link.admin.callWith({ timeoutMs: PING_TIMEOUT_MS }, 'PING').then(
      () => done(true),
      // Whatever it says, it speaks.
      (error: unknown) => done(error instanceof NodeReplyError),
    );
  }

  /** It owes an answer still. */
  feel(clockMs: number, activity: NodeActivity | null): void {
    if (!this.#owes) return;
    const elapsedMs = clockMs - this.#feltAtMs;
    this.#feltAtMs = clockMs;
    this.#felt({ elapsedMs, answered: false, activity });
  }

  #felt(sample: PulseSample): void {
    const before = this.#pulse;
    this.#pulse = judgePulse(before, sample);
    const { state, silentMs } = this.#pulse;
    if (state === 'hung' && this.#told !== 'hung') {
      this.#told = 'hung';
      this.#patience.abort(new Error('the node hangs'));
      this.#patience = new AbortController();
      this.#watcher.onHung(this.id, describeHang(this.#pulse), silentMs);
    } else if (state === 'busy' && this.#told === null && silentMs >= BUSY_TOLD_AFTER_MS) {
      this.#told = 'busy';
      this.#watcher.onBusy(this.id, silentMs);
    } else if (state === 'answers' && this.#told !== null) {
      this.#told = null;
      this.#watcher.onAnswersAgain(this.id, before.silentMs);
    }
  }

  /** Asks for its role, offset and sizes (one round trip). Null when it does not answer in time. */
  async observe(options: ObserveOptions = {}): Promise<NodeObservation | null> {
    const process = this.#process;
    if (process === null) return null;
    const timeoutMs = options.timeoutMs ?? OBSERVE_TIMEOUT_MS;
    try {
      const [info, threads, peers] = await Promise.all([
        this.call(['INFO', ...INFO_SECTIONS], timeoutMs),
        this.call(['CONFIG', 'GET', 'io-threads'], timeoutMs),
        options.cluster ? this.call(['CLUSTER', 'NODES'], timeoutMs) : null,
      ]);
      if (this.#process !== process) return null;
      const roleBefore = this.#observation?.role;
      const ioThreads = Array.isArray(threads) ? Number(threads[1]) : null;
      const seen = observationOf(parseInfo(String(info)), Date.now(), ioThreads);
      this.#observation = seen;
      if (peers !== null) this.#peers = parseClusterNodes(String(peers));
      // After a restart of the daemon a link that is down tells nothing; an offset above the initial one does.
      if (seen.role === 'replica' && (seen.linkUp || seen.offset > 1)) this.#hasData = true;
      else this.#hasData ??= false;
      this.#answers();
      if (roleBefore !== undefined && roleBefore !== seen.role) this.#watcher.onRoleChange(this.id);
      return seen;
    } catch (error) {
      if (this.#process !== process) return null;
      // BUSY (a long script) or LOADING: it lives, and what it said last is still the best there is.
      if (error instanceof NodeReplyError) {
        this.#answers();
        return this.#observation;
      }
      this.#isSilent();
      return null;
    }
  }

  /** Without a process there is no pulse to feel. */
  #quiet(): void {
    this.#pulse = ANSWERS;
    this.#told = null;
    this.#owes = false;
    this.#pinging = false;
  }

  #answers(): void {
    this.#silentSinceMs = null;
    this.#silences = 0;
  }

  #isSilent(): void {
    this.#observation = null;
    this.#silentSinceMs ??= Date.now();
    this.#silences++;
  }
}
