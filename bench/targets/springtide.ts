/**
 * Springtide, started as a user starts it: `springtide up --detach`, `springtide create`. The daemon's local API says
 * which processes serve. Or one that runs already, by its address and the pids that its user names.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { text } from 'node:stream/consumers';
import { messageOf } from '../../src/lib/errors.ts';
import type { SystemStatus } from '../../src/model/admin-api.ts';
import type { TlsMode } from '../../src/model/cache-spec.ts';
import { dataDirPaths } from '../../src/model/data-dir.ts';
import type { Address, Credentials } from '../admin.ts';
import { BenchError } from '../bench-error.ts';
import type { PidsByRole } from '../cpu.ts';
import { OWN_KEY_PREFIX } from '../own-keys.ts';
import { springtideVersion } from '../versions.ts';
import type { Target, TargetContext } from './target.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const CACHE = 'bench';
const COMMAND_TIMEOUT_MS = 120_000;
const STOP_GRACE_MS = 5_000;

/** @param proxies how many proxy processes share the endpoint */
export async function startSpringtide(context: TargetContext, proxies: number): Promise<Target> {
  const name = proxies === 1 ? 'springtide' : `springtide-${proxies}`;
  const dataDir = join(context.directory, name);
  const tls = context.certificate !== null;
  const pidsSeen = new Set<number>();
  const look = async (): Promise<SystemStatus> => {
    const seen = await systemStatus(dataDir);
    for (const pid of allPids(seen)) pidsSeen.add(pid);
    return seen;
  };
  context.cleanup.defer(() => takeDown(dataDir, pidsSeen));
  await runCli(dataDir, [
    'up',
    '--detach',
    '--no-cache',
    '--metrics-port',
    'auto',
    '--proxies',
    String(proxies),
  ]);
  const create = [
    'create',
    CACHE,
    '--shards',
    String(context.shards),
    // As many nodes as the others have, however busy they get.
    '--shards-max',
    String(context.shards),
    '--replicas',
    '0',
    '--port',
    'auto',
  ];
  if (tls) {
    create.push('--tls', 'preferred');
    create.push(
      '--tls-cert',
      context.certificate!.certFile,
      '--tls-key',
      context.certificate!.keyFile,
    );
  }
  await runCli(dataDir, create);
  const status = await look();
  const cache = status.caches.find((candidate) => candidate.spec.name === CACHE);
  if (cache === undefined) {
    throw new BenchError(
      'BENCH_TARGET_FAILED',
      'Springtide made no cache, though its command ended well',
    );
  }
  const address = parseAddress(cache.endpoint);
  return {
    name,
    label: `Springtide, ${proxies} ${proxies === 1 ? 'proxy' : 'proxies'}`,
    version: springtideVersion(),
    plain: address,
    tls: tls ? address : null,
    cluster: false,
    // Its nodes answer Springtide only; that no key was lost is checked through the endpoint, before and after.
    nodes: [],
    descriptorsPerClient: 1,
    pids: async () => pidsOf(await look()),
  };
}

export interface RunningSpringtide {
  readonly address: Address;
  /** What its port takes: `preferred` is both. Certificates are not checked. */
  readonly tls: TlsMode;
  readonly credentials: Credentials;
  readonly pids: PidsByRole;
  /** As many has the cluster that it is compared with; default: the bench's own number. */
  readonly shards?: number;
}

/** A Springtide (or any other endpoint) that runs already; it is neither started nor stopped here. */
export function attachSpringtide(running: RunningSpringtide): Target {
  return {
    name: 'springtide',
    label: 'Springtide (running)',
    version: springtideVersion(),
    plain: running.tls === 'required' ? null : running.address,
    tls: running.tls === 'off' ? null : running.address,
    credentials: running.credentials,
    keyPrefix: OWN_KEY_PREFIX,
    cluster: false,
    nodes: [],
    descriptorsPerClient: 1,
    pids: () => running.pids,
  };
}

/** `127.0.0.1:6379` or `[::1]:6379`. */
export function parseAddress(endpoint: string): Address {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(endpoint);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new BenchError('BENCH_OPTION_INVALID', `"${endpoint}" is not HOST:PORT`);
  }
  return { host: (match[1] ?? match[2])!, port };
}

function pidsOf(status: SystemStatus): PidsByRole {
  const nodes = status.caches.flatMap((cache) => cache.nodes);
  const pids = (list: readonly { readonly pid: number | null }[], what: string): number[] =>
    list.map(({ pid }) => {
      if (pid === null)
        throw new BenchError('BENCH_RUN_FAILED', `a ${what} of Springtide is not running`);
      return pid;
    });
  return { proxy: pids(status.proxies, 'proxy'), node: pids(nodes, 'node'), other: [status.pid] };
}

async function runCli(dataDir: string, args: readonly string[]): Promise<string> {
  try {
    const options = { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 };
    const all = [MAIN, ...args, '--data-dir', dataDir, '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, all, options);
    return stdout;
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    const reason = stderr?.trim() || messageOf(cause);
    throw new BenchError('BENCH_TARGET_FAILED', `springtide ${args[0]} failed: ${reason}`, {
      cause,
    });
  }
}

/** From the daemon itself: starting the CLI before and after every run would disturb the run. */
async function systemStatus(dataDir: string): Promise<SystemStatus> {
  const { apiSocket } = dataDirPaths(dataDir);
  return await new Promise((resolve, reject) => {
    const call = request(
      { socketPath: apiSocket, path: '/v1/status', timeout: 10_000 },
      (response) => {
        text(response).then((body) => {
          if (response.statusCode === 200) resolve(JSON.parse(body) as SystemStatus);
          else
            reject(
              new BenchError(
                'BENCH_RUN_FAILED',
                `Springtide's daemon answered ${response.statusCode}: ${body}`,
              ),
            );
        }, reject);
      },
    );
    call.once('timeout', () => call.destroy(new Error('no answer within 10 s')));
    call.once('error', (cause) => {
      reject(new BenchError('BENCH_RUN_FAILED', "Springtide's daemon does not answer", { cause }));
    });
    call.end();
  });
}

/** `springtide down`; what outlives that, or a daemon that died before, by its pid. */
async function takeDown(dataDir: string, pidsSeen: Set<number>): Promise<void> {
  const status = await systemStatus(dataDir).catch(() => null);
  if (status !== null) {
    for (const pid of allPids(status)) pidsSeen.add(pid);
    await runCli(dataDir, ['down']).catch(() => '');
  }
  const left = (): number[] => [...pidsSeen].filter((pid) => belongsTo(pid, dataDir));
  const deadline = performance.now() + (status === null ? 0 : STOP_GRACE_MS);
  while (left().length > 0 && performance.now() < deadline) await delay(50);
  for (const pid of left()) process.kill(pid, 'SIGKILL');
}

function allPids(status: SystemStatus): number[] {
  const nodes = status.caches.flatMap((cache) => cache.nodes);
  const pids = [status.pid, ...[...status.proxies, ...nodes].map(({ pid }) => pid)];
  return pids.filter((pid) => pid !== null);
}

/** Whether this process runs and names our private directory: a pid may have been given to somebody else meanwhile. */
function belongsTo(pid: number, dataDir: string): boolean {
  try {
    return ['cmdline', 'environ'].some((file) =>
      readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(dataDir),
    );
  } catch {
    return false;
  }
}
