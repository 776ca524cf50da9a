/**
 * The daemon's entry: control plane, API and metrics of one data directory. The only place that builds these things.
 *
 *   lock -> state -> adopt nodes and proxies -> API answers -> ... -> SIGTERM: leave alone | POST /v1/shutdown: all stops
 *
 * SIGTERM and SIGINT end the daemon and nothing else; nodes and proxies go on serving and the next daemon adopts them.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { MetricsServer } from '../api/admin-server.ts';
import { ControlPlane } from '../control/control-plane.ts';
import { findEngine } from '../engine/catalogue.ts';
import { messageOf } from '../lib/errors.ts';
import { dataDirPaths, defaultDataDir, defaultEngineDir } from '../model/data-dir.ts';
import { DataDirLock } from './data-dir-lock.ts';
import { openDaemonLog } from './daemon-log.ts';
import { localHosts } from './local-hosts.ts';
import { plannerParamsOption } from './planner-params-option.ts';

/** The port of the Prometheus exporter for Redis and Valkey: where a scraper's configuration has it already. */
const DEFAULT_METRICS_PORT = 9121;

const DISK_ERRORS: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EIO']);

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    'engine-dir': { type: 'string' },
    'engine-binary': { type: 'string' },
    hosts: { type: 'string' },
    'scale-in-after': { type: 'string' },
    'planner-params': { type: 'string' },
    proxies: { type: 'string' },
    'metrics-port': { type: 'string' },
    'proxy-script': { type: 'string' },
  },
});

const startedAtMs = Date.now();
const paths = dataDirPaths(resolve(values['data-dir'] ?? defaultDataDir()));
for (const dir of [paths.root, paths.run, paths.logs]) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
}
const log = openDaemonLog(`${paths.logs}/daemon.log`);

process.stderr.on('error', () => undefined);
process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
  log.fatal({ err: error }, 'uncaught exception');
  // What a full disk breaks is broken alone: the caches need whoever looks after them now more than ever.
  if (!DISK_ERRORS.has(error.code ?? '')) process.exit(70);
});

try {
  await main();
} catch (error) {
  log.fatal({ err: error }, 'the daemon could not start');
  if (process.stderr.isTTY) process.stderr.write(`springtide: ${messageOf(error)}\n`);
  process.exit(1);
}

async function main(): Promise<void> {
  const lock = await DataDirLock.acquire(paths.root, paths.daemonPidFile);
  const engines = {
    engineDir: resolve(values['engine-dir'] ?? defaultEngineDir()),
    ...(values['engine-binary'] === undefined ? {} : { binary: resolve(values['engine-binary']) }),
  };
  const scaleInAfterMs = integerOption('scale-in-after', 1_000, 86_400_000);
  const control = new ControlPlane({
    paths,
    engines,
    hosts: localHosts(values.hosts, paths, (version) => findEngine(version, engines)),
    proxies: integerOption('proxies', 1, 256) ?? availableParallelism(),
    plannerParams: {
      ...(values['planner-params'] === undefined
        ? {}
        : plannerParamsOption(values['planner-params'])),
      ...(scaleInAfterMs === undefined ? {} : { inQuietMs: scaleInAfterMs }),
    },
    proxyScriptPath: resolve(
      values['proxy-script'] ?? fileURLToPath(new URL('./proxy.ts', import.meta.url)),
    ),
    log,
  });
  await control.start();
  // Loaded only now: a primary may be missed, and its clients wait.
  const { startAdminServer } = await import('../api/admin-server.ts');
  const metrics = await startMetrics(control);
  let ending = false;
  const end = async (why: string) => {
    if (ending) return;
    ending = true;
    log.info(`the daemon ends: ${why}`);
    await Promise.allSettled([api.close(), metrics?.close()]);
    await control.leave();
    lock.release();
    process.exit(0);
  };
  const api = await startAdminServer(
    paths.apiSocket,
    {
      control,
      version: packageVersion(),
      dataDir: paths.root,
      startedAtMs,
      metricsUrl: () => metrics?.url ?? null,
      shutDown: async (report) => {
        await control.shutDown(report);
        // After this answer is out: closing the API waits for it.
        setImmediate(() => void end('a shutdown was asked for'));
      },
    },
    log,
  );
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => void end(signal));
  }
  log.info({ tookMs: Math.round(performance.now()) }, 'the daemon is ready');
  // Node does it when a process ends of its own will, and a daemon may be killed. It is nothing but after the first start.
  flushCompileCache();
}

/** Metrics are worth a warning, not a failed start. */
async function startMetrics(control: ControlPlane): Promise<MetricsServer | null> {
  const port = integerOption('metrics-port', 0, 65_535) ?? DEFAULT_METRICS_PORT;
  try {
    const [{ startMetricsServer }, { metricsRenderer }] = await Promise.all([
      import('../api/admin-server.ts'),
      import('../api/metrics.ts'),
    ]);
    const metrics = await startMetricsServer(port, metricsRenderer(control), log);
    if (port !== 0 && !metrics.url.includes(`:${port}/`)) {
      log.warn(`port ${port} for metrics is in use; they are at ${metrics.url}`);
    }
    return metrics;
  } catch (error) {
    log.warn({ err: error }, 'metrics cannot be served');
    return null;
  }
}

function integerOption(
  name: 'proxies' | 'metrics-port' | 'scale-in-after',
  min: number,
  max: number,
): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`--${name} must be a whole number from ${min} to ${max}, not ${text}`);
  }
  return value;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
