/**
 * The thread of the open loop: sends each pipeline when it is due, whatever has been answered by then, and counts the replies.
 * A latency runs from the time at which the request was due to the reply, so a stall counts for all that should have been sent
 * in it (coordinated omission). Started by OpenLoop.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import {
  REPLY_INCOMPLETE,
  REPLY_MALFORMED,
  ReplyScanner,
} from '../../src/protocol/reply-scanner.ts';
import { encodeRequest } from '../../src/protocol/request-encoder.ts';
import { batchPool, type LoadMix } from './batch-pool.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { LoadSchedule, type RatePoint } from './load-schedule.ts';
import { slotKey, slotTags } from './slot-keys.ts';

export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
}

export type ToLoadWorker =
  | { readonly type: 'prefill'; readonly keysPerSlot: number; readonly valueBytes: number }
  | { readonly type: 'mix'; readonly mix: LoadMix }
  | { readonly type: 'schedule'; readonly points: readonly RatePoint[] }
  | { readonly type: 'stop' };

export interface IntervalMessage {
  readonly type: 'interval';
  /** Epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly sent: number;
  readonly replies: number;
  /** Requests that were due and are not answered. */
  readonly waiting: number;
  readonly errors: Readonly<Record<string, number>>;
  /** GETs of keys that were not there. */
  readonly misses: number;
  readonly counts: Float64Array;
  readonly maximumUs: number;
  /** Of this thread. */
  readonly cpuMs: number;
}

export type FromLoadWorker = IntervalMessage | { readonly type: 'done'; readonly of: string };

const TICK_MS = 1;
const INTERVAL_MS = 250;
/** More are not sent before others are answered: they wait here, and their latency runs. */
const IN_FLIGHT_MAXIMUM = 400_000;
const PREFILL_BATCH = 500;
const READ_BUFFER_BYTES = 256 * 1024;
const MINUS = 45;
const DOLLAR = 36;

const target = workerData as LoadTarget;
const port = parentPort!;
const originMs = performance.timeOrigin;
const now = () => originMs + performance.now();

class Line {
  inFlight = 0;
  readonly #scanner = new ReplyScanner();
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  /** Due times and sizes of batches not fully answered; the head is at `#first`. */
  #dueMs: number[] = [];
  #left: number[] = [];
  #first = 0;
  #socket: Socket | null = null;

  get isOpen(): boolean {
    return this.#socket !== null && !this.#socket.connecting;
  }

  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: target.host,
        port: target.port,
        noDelay: true,
        onread: {
          buffer: this.#buffer,
          callback: (bytes) => {
            this.#take(bytes);
            return true;
          },
        },
      });
      this.#socket = socket;
      socket.once('connect', resolve);
      socket.on('error', (error) => {
        socket.destroy();
        reject(error);
      });
      socket.on('close', () => this.#closed(socket));
    });
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
  }

  write(batch: Buffer, requests: number, dueMs: number): void {
    this.#dueMs.push(dueMs);
    this.#left.push(requests);
    this.inFlight += requests;
    this.#socket!.write(batch);
  }

  #take(bytes: number): void {
    const buffer = this.#buffer;
    const scanner = this.#scanner;
    const atMs = now();
    let pos = 0;
    while (pos < bytes) {
      const start = pos;
      const isHead = !scanner.midReply;
      pos = scanner.scan(buffer, start, bytes);
      if (pos === REPLY_MALFORMED) {
        counters.error('malformed reply', 1);
        this.#socket?.destroy();
        return;
      }
      if (isHead && buffer[start] === MINUS)
        this.#error(start, pos === REPLY_INCOMPLETE ? bytes : pos);
      else if (isHead && buffer[start] === DOLLAR && buffer[start + 1] === MINUS) counters.misses++;
      if (pos === REPLY_INCOMPLETE) return;
      this.#answered(atMs);
    }
  }

  #error(start: number, end: number): void {
    const line = this.#buffer.toString('latin1', start + 1, Math.min(end, start + 120));
    counters.error(line.split(' ', 1)[0]!.trim(), 1);
  }

  #answered(atMs: number): void {
    if (this.#first >= this.#left.length) return counters.error('reply to nothing', 1);
    counters.replies++;
    this.inFlight--;
    counters.latencies.record((atMs - this.#dueMs[this.#first]!) * 1000);
    if (--this.#left[this.#first]! > 0) return;
    this.#first++;
    if (this.#first < 1_024) return;
    this.#dueMs = this.#dueMs.slice(this.#first);
    this.#left = this.#left.slice(this.#first);
    this.#first = 0;
  }

  #closed(socket: Socket): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    if (this.inFlight > 0) counters.error('connection closed', this.inFlight);
    this.inFlight = 0;
    this.#dueMs = [];
    this.#left = [];
    this.#first = 0;
    this.#scanner.reset();
    void this.#reopen();
  }

  async #reopen(): Promise<void> {
    while (!stopping && !this.isOpen) {
      await this.open().catch(() => {});
      if (!this.isOpen) await delay(20);
    }
  }
}

class Counters {
  sent = 0;
  replies = 0;
  misses = 0;
  latencies = new LatencyHistogram();
  readonly #errors = new Map<string, number>();

  error(kind: string, times: number): void {
    this.#errors.set(kind, (this.#errors.get(kind) ?? 0) + times);
  }

  /** What was counted since the last time. */
  take(): Pick<IntervalMessage, 'sent' | 'replies' | 'misses' | 'errors' | 'counts' | 'maximumUs'> {
    const { sent, replies, misses, latencies } = this;
    const errors = Object.fromEntries(this.#errors);
    this.sent = this.replies = this.misses = 0;
    this.#errors.clear();
    this.latencies = new LatencyHistogram();
    const { counts, maximumUs } = latencies;
    return { sent, replies, misses, errors, counts, maximumUs };
  }
}

let stopping = false;
const counters = new Counters();
const lines = Array.from({ length: target.connections }, () => new Line());
let pool: readonly Buffer[] = [];
let pipeline = 1;
let schedule = new LoadSchedule([{ atMs: 0, perSecond: 0 }]);
let scheduleAtMs = now();
/** Requests of this schedule that were sent. */
let sentOfSchedule = 0;
let nextBatch = 0;
let nextLine = 0;

function tick(): void {
  if (stopping || pool.length === 0) return;
  const elapsedMs = now() - scheduleAtMs;
  const due = schedule.dueBy(elapsedMs);
  let inFlight = 0;
  for (const line of lines) inFlight += line.inFlight;
  while (sentOfSchedule + pipeline <= due && inFlight < IN_FLIGHT_MAXIMUM) {
    const line = openLine();
    if (line === null) break;
    // Each pipeline is due when its last request is: a client collects, then sends.
    const dueMs = scheduleAtMs + schedule.timeOf(sentOfSchedule + pipeline);
    line.write(pool[nextBatch++ % pool.length]!, pipeline, dueMs);
    sentOfSchedule += pipeline;
    counters.sent += pipeline;
    inFlight += pipeline;
  }
}

function openLine(): Line | null {
  for (let tries = 0; tries < lines.length; tries++) {
    const line = lines[nextLine++ % lines.length]!;
    if (line.isOpen) return line;
  }
  return null;
}

function beginSchedule(points: readonly RatePoint[]): void {
  // What was due before and not sent stays due: nothing is forgiven by a new schedule.
  const owed = Math.max(0, schedule.dueBy(now() - scheduleAtMs) - sentOfSchedule);
  schedule = new LoadSchedule(points);
  scheduleAtMs = now();
  sentOfSchedule = -Math.floor(owed);
}

let intervalFromMs = now();
let cpuBefore = process.threadCpuUsage();
function report(): void {
  const toMs = now();
  const cpu = process.threadCpuUsage(cpuBefore);
  cpuBefore = process.threadCpuUsage();
  const due = Math.floor(schedule.dueBy(toMs - scheduleAtMs) - sentOfSchedule);
  const message: IntervalMessage = {
    type: 'interval',
    fromMs: intervalFromMs,
    toMs,
    ...counters.take(),
    waiting: lines.reduce((sum, line) => sum + line.inFlight, 0) + Math.max(0, due),
    cpuMs: (cpu.user + cpu.system) / 1000,
  };
  intervalFromMs = toMs;
  port.postMessage(message);
}

/** Every key of every slot once, as fast as the endpoint takes them, over connections of its own. */
async function prefill(keysPerSlot: number, valueBytes: number): Promise<void> {
  const tags = slotTags();
  const value = 'v'.repeat(valueBytes);
  const fillers = 4;
  await Promise.all(
    Array.from({ length: fillers }, async (_, filler) => {
      const socket = connect({ host: target.host, port: target.port, noDelay: true });
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      let requests: Buffer[] = [];
      const flush = async () => {
        if (requests.length > 0) await exchange(socket, Buffer.concat(requests), requests.length);
        requests = [];
      };
      for (let slot = filler; slot < tags.length; slot += fillers)
        for (let key = 0; key < keysPerSlot; key++) {
          requests.push(encodeRequest(['SET', slotKey(tags, slot, key), value]));
          if (requests.length >= PREFILL_BATCH) await flush();
        }
      await flush();
      socket.destroy();
    }),
  );
}

/** @throws unless every reply is +OK */
function exchange(socket: Socket, bytes: Buffer, requests: number): Promise<void> {
  const expected = requests * '+OK\r\n'.length;
  let received = '';
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new Error('the endpoint closed a connection of the prefill'));
    const onData = (chunk: Buffer) => {
      received += chunk.toString('latin1');
      if (received.includes('-')) reject(new Error(`prefill: ${received.slice(0, 200)}`));
      if (received.length < expected) return;
      socket.off('data', onData).off('close', onClose);
      resolve();
    };
    socket.on('data', onData).on('close', onClose);
    socket.write(bytes);
  });
}

port.on('message', (message: ToLoadWorker) => {
  switch (message.type) {
    case 'prefill':
      void prefill(message.keysPerSlot, message.valueBytes).then(() => done('prefill'), fail);
      return;
    case 'mix':
      pool = batchPool(message.mix);
      pipeline = message.mix.pipeline;
      // Building it took a while in which nothing could be sent.
      beginSchedule([{ atMs: 0, perSecond: 0 }]);
      done('mix');
      return;
    case 'schedule':
      beginSchedule(message.points);
      done('schedule');
      return;
    case 'stop':
      stopping = true;
      report();
      for (const line of lines) line.close();
      done('stop');
      port.close();
  }
});

function done(of: string): void {
  port.postMessage({ type: 'done', of } satisfies FromLoadWorker);
}

function fail(error: unknown): void {
  throw error;
}

await Promise.all(lines.map((line) => line.open()));
const ticker = setInterval(tick, TICK_MS);
const reporter = setInterval(report, INTERVAL_MS);
port.once('close', () => {
  clearInterval(ticker);
  clearInterval(reporter);
});
done('open');
