/**
 * What metering and counting by slot cost the data plane: two proxies of the same cache, one with and one without, under the
 * same load at the same time; CPU for each request of the one, over that of the other, second by second. What disturbs the
 * machine disturbs both.
 *
 *   node bench/heat-cost.ts [--seconds 60] [--clients 50] [--baseline PROXY_ENTRY]
 *
 * `--baseline` names the proxy's entry file in another checkout, to compare with instead of `--heat off`. Both proxies have a
 * control plane's end to report to, so what a report costs is in it; the control plane's own part is not.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { dataDirPaths } from '../src/model/data-dir.ts';
import type { ControlToProxy, ProxyToControl } from '../src/model/plane-link.ts';
import type { TopologyCache } from '../src/model/topology.ts';
import { NodeFarm } from '../e2e/harness/node-farm.ts';
import { RawClient } from '../e2e/harness/raw-client.ts';
import { OPEN_USER, topologyOfNodes } from '../e2e/harness/topology-of-nodes.ts';
import { findEngineTools } from './engine-tools.ts';
import { loadArguments } from './load.ts';
import { median } from './summary.ts';

const PROXY_ENTRY = fileURLToPath(new URL('../src/daemon/proxy.ts', import.meta.url));
const RESAMPLES = 2000;
/** Until all connections are there and the code is compiled. */
const WARM_UP_MS = 4_000;

/** `keys` spread over all slots; few of them make slots so hot that their keys are watched as well. */
const SCENARIOS = [
  { name: 'GET, 100,000 keys, pipeline 1', keys: 100_000, pipeline: 1 },
  { name: 'GET, 100,000 keys, pipeline 16', keys: 100_000, pipeline: 16 },
  { name: 'GET, 5 hot keys that are watched, pipeline 1', keys: 5, pipeline: 1 },
  { name: 'GET, 5 hot keys that are watched, pipeline 16', keys: 5, pipeline: 16 },
] as const;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    clients: { type: 'string', default: '50' },
    baseline: { type: 'string' },
  },
});

/** What a proxy has done since it began. */
interface Done {
  readonly cpuUs: number;
  readonly requests: number;
}

interface BenchProxy {
  readonly port: number;
  /** As of its last report, one a second. */
  done: Done;
  readonly process: ChildProcess;
  readonly link: Server;
}

const { benchmark, version } = await findEngineTools(() => process.stderr.write('Installing Valkey ...\n')); // prettier-ignore
const dir = mkdtempSync(join(tmpdir(), 'springtide-heat-cost-'));
const farm = new NodeFarm(dir);
const proxies: BenchProxy[] = [];
try {
  const acl = [`user default on >${OPEN_USER.upstreamSecret} ${OPEN_USER.rules}`];
  const nodes = await farm.startCluster(3, 0, { acl });
  const topology = async () => topologyOfNodes(nodes, 3, await farm.portPair(), {});
  const off = values.baseline === undefined ? ['--heat', 'off'] : [];
  const without = await startProxy('without', await topology(), values.baseline ?? PROXY_ENTRY, off); // prettier-ignore
  const with_ = await startProxy('with', await topology(), PROXY_ENTRY, []);
  process.stdout.write(
    `Valkey ${version}, ${values.clients} clients at each of two proxies, ${values.seconds} s, ` +
      `compared with ${values.baseline === undefined ? '--heat off' : 'another checkout'}\n`,
  );
  for (const scenario of SCENARIOS) await compare(scenario, without, with_);
} finally {
  for (const { process: child, link } of proxies) {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
    link.close();
  }
  await farm.stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function startProxy(
  name: string,
  cache: TopologyCache,
  entry: string,
  args: readonly string[],
): Promise<BenchProxy> {
  const dataDir = join(dir, name);
  const paths = dataDirPaths(dataDir);
  mkdirSync(join(paths.proxies, '0'), { recursive: true });
  mkdirSync(paths.run, { recursive: true });
  const topology = { version: 1, caches: [cache] };
  writeFileSync(join(paths.proxies, '0', 'topology.json'), JSON.stringify(topology));
  const link = createServer((socket) => listenTo(socket, proxy));
  link.listen(paths.controlSocket);
  const child = spawn(
    process.execPath,
    [entry, '--data-dir', dataDir, '--log-level', 'fatal', ...args],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const proxy: BenchProxy = {
    port: cache.port,
    done: { cpuUs: 0, requests: 0 },
    process: child,
    link,
  };
  proxies.push(proxy);
  (await RawClient.whenUp(cache.port)).close();
  return proxy;
}

/** The control plane's end of the link, as far as a report of heat needs it: of any version of the proxy. */
function listenTo(socket: Socket, proxy: BenchProxy): void {
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).on('line', (line) => {
    const message = JSON.parse(line) as ProxyToControl;
    if (message.type === 'usage') {
      const { cpuSeconds, caches } = message.usage;
      proxy.done = { cpuUs: cpuSeconds * 1e6, requests: caches[0]?.requests ?? 0 };
    } else if (message.type === 'heat') {
      const { cacheId, sequence } = message.report;
      const taken: ControlToProxy = { type: 'heat-taken', cacheId, sequence };
      socket.write(`${JSON.stringify(taken)}\n`);
    }
  });
}

async function compare(
  { name, keys, pipeline }: (typeof SCENARIOS)[number],
  without: BenchProxy,
  with_: BenchProxy,
): Promise<void> {
  const both = [without, with_];
  const loads = both.map(({ port }) => startLoad(port, keys, pipeline));
  const ratios: number[] = [];
  const costs: number[] = [];
  try {
    await delay(WARM_UP_MS);
    let before = both.map(({ done }) => done);
    for (let second = 0; second < Number(values.seconds); second++) {
      await delay(1000);
      const now = both.map(({ done }) => done);
      const [off, on] = now.map((done, i) => costOf(before[i]!, done));
      before = now;
      // A report came late: the next second has two in it.
      if (off === undefined || on === undefined || !Number.isFinite(off + on)) continue;
      costs.push(off);
      ratios.push(on / off);
      process.stderr.write(`\r${name}: ${second + 1} of ${values.seconds} s   `);
    }
  } finally {
    await Promise.all(loads.map(stopLoad));
  }
  const [low, high] = confidence(ratios);
  process.stderr.write('\r');
  process.stdout.write(
    `${name}: ${median(costs).toFixed(2)} us of CPU a request without, ratio with/without ` +
      `${median(ratios).toFixed(3)} (95 % confidence ${low.toFixed(3)} to ${high.toFixed(3)})\n`,
  );
}

/** Microseconds of CPU a request. */
function costOf(before: Done, now: Done): number {
  return (now.cpuUs - before.cpuUs) / (now.requests - before.requests);
}

/** Until it is stopped. */
function startLoad(port: number, keys: number, pipeline: number): ChildProcess {
  const args = loadArguments({
    host: '127.0.0.1',
    port,
    cluster: false,
    command: 'get',
    requests: 2_000_000_000,
    keys,
    valueBytes: 80,
    tls: false,
    clients: Number(values.clients),
    pipeline,
  });
  return spawn(benchmark.file, [...benchmark.args, ...args], { stdio: 'ignore' });
}

async function stopLoad(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
}

/** Of the median, by resampling. */
function confidence(ratios: readonly number[]): [number, number] {
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(ratios.map(() => ratios[Math.floor(Math.random() * ratios.length)]!)),
  ).sort((a, b) => a - b);
  return [medians[Math.floor(RESAMPLES * 0.025)]!, medians[Math.floor(RESAMPLES * 0.975)]!];
}
