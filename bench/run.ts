/**
 * `npm run bench`: Springtide beside direct connections, predixy, twemproxy and haproxy.
 *
 *   options -> start what is measured (loopback, a private directory, free ports) -> fill the keyspace
 *           -> load, interleaved -> idle connections -> table, JSON, SVG -> stop everything that was started
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../src/lib/errors.ts';
import { BenchError } from './bench-error.ts';
import { makeCertificate } from './certificate.ts';
import { findEngineTools, type EngineTools } from './engine-tools.ts';
import { affordableConnections, descriptorLimit, measureIdle } from './idle.ts';
import { measure, type MeasurePlan } from './measure.ts';
import { parseOptions, type BenchOptions, type TargetName } from './options.ts';
import { renderPlot } from './plot.ts';
import { removeOwnKeys, requireLogin } from './own-keys.ts';
import { PortPicker } from './ports.ts';
import { prefill, requireKeyspace } from './prefill.ts';
import { Processes } from './processes.ts';
import { Progress } from './progress.ts';
import { renderGoals, renderReport } from './report.ts';
import type { BenchResults, IdleResult } from './sample.ts';
import { startDirect } from './targets/direct.ts';
import { startHaproxy } from './targets/haproxy.ts';
import { startPredixy } from './targets/predixy.ts';
import { startSingle } from './targets/single.ts';
import { attachSpringtide, startSpringtide } from './targets/springtide.ts';
import type { Target, TargetContext } from './targets/target.ts';
import { startTwemproxy } from './targets/twemproxy.ts';
import {
  describeMachine,
  findProgram,
  firstLine,
  springtideVersion,
  versionIn,
} from './versions.ts';

const SHARDS = 3;
const KEYS = 100_000;
const VALUE_BYTES = 80;

/** Programs of others that are measured when they are there: how to ask their version, how to start them. */
const PEERS = {
  predixy: {
    program: 'predixy',
    versionArgs: ['-v'],
    start: startPredixy,
    how: 'put predixy on the PATH',
  },
  twemproxy: {
    program: 'nutcracker',
    versionArgs: ['-V'],
    start: startTwemproxy,
    how: 'Debian: apt-get install nutcracker',
  },
  haproxy: {
    program: 'haproxy',
    versionArgs: ['-v'],
    start: startHaproxy,
    how: 'Debian: apt-get install haproxy',
  },
} as const;

/** Runs the whole bench; resolves with its results after everything it started has been stopped. */
export async function runBench(
  options: BenchOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<BenchResults> {
  const startedAt = new Date().toISOString();
  const engine = await findEngineTools(() =>
    progress.note('Installing Valkey 9.1 (about 30 MB) ...'),
  );
  await using cleanup = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'springtide-bench-'));
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }));
  const context = cleanup.use(await makeContext(options, engine, directory, cleanup));
  const plan: MeasurePlan = { ...options, keys: KEYS, valueBytes: VALUE_BYTES };
  const tools = { benchmark: engine.benchmark, progress, signal };

  const { targets, skipped } = await startTargets(options, context, progress, signal);
  for (const target of targets) {
    progress.show('filling the keyspace', target.label);
    if (target.keyPrefix !== undefined) {
      await requireLogin(target);
      cleanup.defer(() => removeOwnKeys(target, KEYS, progress));
    }
    await prefill(engine.benchmark, target, plan, signal);
  }
  const { samples, failures } = await measure(targets, plan, tools);
  const idle = await measureAllIdle(options, targets, plan, tools);
  // GETs of keys that went away would have looked fast: better no figures than those.
  for (const target of targets) await requireKeyspace(target, plan);
  return {
    format: 1,
    startedAt,
    finishedAt: new Date().toISOString(),
    machine: describeMachine(),
    versions: {
      springtide: springtideVersion(),
      node: process.versions.node,
      valkey: engine.version,
      ...Object.fromEntries(
        targets
          .filter((target) => target.name in PEERS)
          .map((target) => [target.name, target.version]),
      ),
    },
    settings: {
      repetitions: options.repetitions,
      secondsPerRun: options.secondsPerRun,
      keys: KEYS,
      valueBytes: VALUE_BYTES,
      shards: options.running?.shards ?? SHARDS,
    },
    targets: targets.map(({ name, label }) => ({ name, label })),
    skipped,
    samples,
    failures,
    idle,
  };
}

interface BenchContext extends TargetContext, AsyncDisposable {}

async function makeContext(
  options: BenchOptions,
  engine: EngineTools,
  directory: string,
  cleanup: AsyncDisposableStack,
): Promise<BenchContext> {
  const processes = new Processes(directory);
  return {
    processes,
    cleanup,
    ports: new PortPicker(),
    directory,
    certificate: options.cells.some((cell) => cell.tls) ? makeCertificate(directory) : null,
    valkeyServer: engine.server,
    valkeyVersion: engine.version,
    shards: options.running?.shards ?? SHARDS,
    descriptorLimit: descriptorLimit(),
    [Symbol.asyncDispose]: () => processes[Symbol.asyncDispose](),
  };
}

async function startTargets(
  options: BenchOptions,
  context: TargetContext,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ targets: Target[]; skipped: { name: string; reason: string }[] }> {
  const targets: Target[] = [];
  const skipped: { name: string; reason: string }[] = [];
  for (const name of options.targets) {
    signal.throwIfAborted();
    progress.show('starting', name);
    try {
      targets.push(...(await startTarget(name, options, context)));
    } catch (error) {
      signal.throwIfAborted();
      // A peer that is not there is no reason to measure nothing; Springtide itself is.
      if (name in PEERS === false) throw error;
      skipped.push({ name, reason: messageOf(error) });
      progress.note(`not measured: ${name}: ${messageOf(error)}`);
    }
  }
  return { targets, skipped };
}

async function startTarget(
  name: TargetName,
  options: BenchOptions,
  context: TargetContext,
): Promise<Target[]> {
  if (name === 'direct') return [await startDirect(context)];
  if (name === 'single') return [await startSingle(context)];
  if (name === 'springtide') {
    if (options.running !== null) return [attachSpringtide(options.running)];
    const targets: Target[] = [];
    for (const proxies of options.proxies) targets.push(await startSpringtide(context, proxies));
    return targets;
  }
  const { program, versionArgs, start, how } = PEERS[name];
  const file = findProgram(program);
  if (file === null)
    throw new BenchError('BENCH_TOOL_MISSING', `${program} is not installed (${how})`);
  return [await start(context, file, versionIn(firstLine(file, versionArgs)))];
}

async function measureAllIdle(
  options: BenchOptions,
  targets: readonly Target[],
  plan: MeasurePlan,
  tools: Parameters<typeof measureIdle>[3],
): Promise<IdleResult[]> {
  if (options.idleConnections === 0) return [];
  const plain = targets.filter((target) => target.plain !== null);
  tools.progress.expect(plain.length * options.repetitions);
  const limit = descriptorLimit();
  const results: IdleResult[] = [];
  for (const target of plain) {
    const connections = affordableConnections(target, options.idleConnections, limit);
    results.push(await measureIdle(target, connections, plan, tools));
  }
  return results;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  const progress = new Progress(process.stderr);
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      abort.abort(
        new BenchError('BENCH_INTERRUPTED', 'interrupted; everything that was started is stopped'),
      );
    });
  }
  try {
    const results =
      options.fromFile === null
        ? await runBench(options, progress, abort.signal)
        : (JSON.parse(readFileSync(options.fromFile, 'utf8')) as BenchResults);
    progress.end();
    process.stdout.write(renderReport(results) + renderGoals(results));
    if (options.jsonFile !== null)
      writeFileSync(options.jsonFile, `${JSON.stringify(results, null, 1)}\n`);
    if (options.svgFile !== null) writeFileSync(options.svgFile, renderPlot(results));
    return results.failures.length > 0 ? 1 : 0;
  } catch (error) {
    progress.end();
    const reason = abort.signal.aborted ? abort.signal.reason : error;
    process.stderr.write(`bench: ${messageOf(reason)}\n`);
    return abort.signal.aborted ? 130 : 1;
  }
}

if (import.meta.main) process.exitCode = await main();
