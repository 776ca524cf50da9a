/** What idle connections cost: memory each, and throughput of the active ones beside them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../src/lib/errors.ts';
import type { Address, Credentials } from './admin.ts';
import { BenchError } from './bench-error.ts';
import { residentBytes } from './cpu.ts';
import { Meter, type MeasurePlan, type MeasureTools } from './measure.ts';
import type { Cell, IdleResult } from './sample.ts';
import type { Target } from './targets/target.ts';

/** What stays for the 50 active clients, listeners, logs and the runtime itself. */
const SPARE_DESCRIPTORS = 600;
const ACTIVE: Cell = { clients: 50, pipeline: 1, tls: false };
const SETTLE_MS = 2_000;
const OPEN_TIMEOUT_MS = 60_000;

/** Soft limit of open files of this process, which those it starts inherit (Node raises it to the hard limit). */
export function descriptorLimit(limits = readFileSync('/proc/self/limits', 'utf8')): number {
  const match = /^Max open files\s+(\d+|unlimited)/m.exec(limits);
  return match === null || match[1] === 'unlimited' ? 1_000_000 : Number(match[1]);
}

/** How many idle connections this target can be given here: `wanted`, or what open files allow. */
export function affordableConnections(target: Target, wanted: number, limit: number): number {
  return Math.max(
    0,
    Math.min(wanted, Math.floor((limit - SPARE_DESCRIPTORS) / target.descriptorsPerClient)),
  );
}

/** Holds connections open in a process of its own, until disposed. */
class IdleHolder implements AsyncDisposable {
  readonly #child;

  constructor(addresses: readonly Address[], connections: number, credentials: Credentials) {
    const script = fileURLToPath(new URL('idle-holder.ts', import.meta.url));
    const order = JSON.stringify({ addresses, connections, ...credentials });
    this.#child = spawn(process.execPath, [script, order], { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  async opened(signal?: AbortSignal): Promise<void> {
    const timeout = AbortSignal.timeout(OPEN_TIMEOUT_MS);
    const either = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
    const [line] = (await once(this.#child.stdout, 'data', { signal: either })) as [Buffer];
    const text = line.toString().trim();
    if (!text.startsWith('held ')) {
      throw new BenchError('BENCH_RUN_FAILED', text.replace(/^lost /, ''));
    }
  }

  /** Throws when a connection was cut while it should have been held. */
  check(): void {
    if (this.#hasEnded()) {
      throw new BenchError('BENCH_RUN_FAILED', 'an idle connection was closed while others worked');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded()) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }

  #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}

/** Measures one target; its failure is in the result, as `error`. */
export async function measureIdle(
  target: Target,
  connections: number,
  plan: MeasurePlan,
  tools: MeasureTools,
): Promise<IdleResult> {
  const meter = new Meter(plan, tools);
  const heldRatios: number[] = [];
  let proxyBytes = 0;
  let nodeBytes = 0;
  const result = (error?: string): IdleResult => ({
    target: target.name,
    connections,
    proxyBytesPerConnection: proxyBytes / connections,
    nodeBytesPerConnection: nodeBytes / connections,
    heldRatios,
    ...(error === undefined ? {} : { error }),
  });
  try {
    const requests = await meter.calibrate(target, ACTIVE);
    for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
      tools.progress.show('idle connections', `${target.label}, ${repetition}/${plan.repetitions}`);
      const alone = await meter.run(target, ACTIVE, 'get', requests);
      await delay(SETTLE_MS);
      const pids = await target.pids();
      const before = { proxy: residentBytes(pids.proxy), node: residentBytes(pids.node) };
      await using holder = new IdleHolder(
        target.cluster ? target.nodes : [target.plain!],
        connections,
        target.credentials ?? {},
      );
      await holder.opened(tools.signal);
      await delay(SETTLE_MS);
      // The first time only: later ones partly reuse memory that the process has kept.
      if (repetition === 1) {
        proxyBytes = residentBytes(pids.proxy) - before.proxy;
        nodeBytes = residentBytes(pids.node) - before.node;
      }
      const held = await meter.run(target, ACTIVE, 'get', requests);
      holder.check();
      heldRatios.push(held.requestsPerSecond / alone.requestsPerSecond);
      tools.progress.advance();
    }
    return result();
  } catch (error) {
    tools.signal?.throwIfAborted();
    tools.progress.note(`failed: idle connections on ${target.name}: ${messageOf(error)}`);
    return result(messageOf(error));
  }
}
