/**
 * What metering and counting by slot cost the data plane: two proxies of the same cache, one with and one without, under the
 * same load in turn, many times; CPU for each request of one, over that of the other.
 *
 *   node bench/heat-cost.ts [--rounds 30] [--seconds 1] [--clients 50] [--baseline PROXY_ENTRY]
 *
 * `--baseline` names the proxy's entry file in another checkout, to compare with instead of `--heat off`. Both proxies have a
 * control plane's end to report to, so what a report costs is in it; the control plane's own part is not.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { PlaneLinkServer } from '../src/control/plane-link-server.ts';
import { dataDirPaths } from '../src/model/data-dir.ts';
import type { TopologyCache } from '../src/model/topology.ts';
import { NodeFarm } from '../e2e/harness/node-farm.ts';
import { RawClient } from '../e2e/harness/raw-client.ts';
import { OPEN_USER, topologyOfNodes } from '../e2e/harness/topology-of-nodes.ts';
import { findEngineTools, type EngineTools } from './engine-tools.ts';
import { runLoad } from './load.ts';
import { median } from './summary.ts';

const PROXY_ENTRY = fileURLToPath(new URL('../src/daemon/proxy.ts', import.meta.url));
const RESAMPLES = 2000;

/** `keys` spread over all slots; few of them make slots so hot that their keys are watched as well. */
const SCENARIOS = [
  { name: 'GET, 100,000 keys, pipeline 1', keys: 100_000, pipeline: 1 },
  { name: 'GET, 100,000 keys, pipeline 16', keys: 100_000, pipeline: 16 },
  { name: 'GET, 5 hot keys that are watched, pipeline 1', keys: 5, pipeline: 1 },
  { name: 'GET, 5 hot keys that are watched, pipeline 16', keys: 5, pipeline: 16 },
] as const;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    seconds: { type: 'string', default: '1' },
    clients: { type: 'string', default: '50' },
    baseline: { type: 'string' },
  },
});
const tools = await findEngineTools(() => process.stderr.write('Installing Valkey ...\n'));
const dir = mkdtempSync(join(tmpdir(), 'springtide-heat-cost-'));
const farm = new NodeFarm(dir);
const proxies: BenchProxy[] = [];
try {
  const acl = [`user default on >${OPEN_USER.upstreamSecret} ${OPEN_USER.rules}`];
  const nodes = await farm.startCluster(3, 0, { acl });
  const topology = async () => topologyOfNodes(nodes, 3, await farm.portPair(), {});
  const entry = values.baseline ?? PROXY_ENTRY;
  const off = values.baseline === undefined ? ['--heat', 'off'] : [];
  const without = await startProxy('without', await topology(), entry, off);
  const with_ = await startProxy('with', await topology(), PROXY_ENTRY, []);
  process.stdout.write(
    `Valkey ${tools.version}, ${values.clients} clients, ${values.rounds} rounds of ${values.seconds} s, ` +
      `compared with ${values.baseline === undefined ? '--heat off' : 'another checkout'}\n`,
  );
  for (const scenario of SCENARIOS) await compare(scenario, without, with_, tools);
} finally {
  for (const proxy of proxies) await proxy.stop();
  await farm.stopAll();
  rmSync(dir, { recursive: true, force: true });
}

interface BenchProxy {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
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
  const nothing = () => undefined;
  const handlers = {
    topology: () => topology,
    onUsage: nothing,
    onHeat: nothing,
    onServing: nothing,
    onNodeLost: nothing,
    onUnlinked: nothing,
  };
  const link = new PlaneLinkServer(paths.controlSocket, handlers, pino({ level: 'silent' }));
  await link.listen();
  const child: ChildProcess = spawn(
    process.execPath,
    [entry, '--data-dir', dataDir, '--log-level', 'fatal', ...args],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const proxy = {
    pid: child.pid!,
    port: cache.port,
    stop: async () => {
      if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
      await link.close();
    },
  };
  proxies.push(proxy);
  (await RawClient.whenUp(cache.port)).close();
  return proxy;
}

async function compare(
  { name, keys, pipeline }: (typeof SCENARIOS)[number],
  without: BenchProxy,
  with_: BenchProxy,
  { benchmark }: EngineTools,
): Promise<void> {
  const load = async ({ port }: BenchProxy, requests: number) =>
    runLoad(
      benchmark,
      {
        host: '127.0.0.1', port, cluster: false, command: 'get', requests, keys, valueBytes: 80, tls: false,
        clients: Number(values.clients), pipeline,
      }, // prettier-ignore
      { timeoutMs: 600_000 },
    );
  /** Microseconds of CPU a request. */
  const measure = async (proxy: BenchProxy, requests: number): Promise<number> => {
    const before = cpuUs(proxy.pid);
    await load(proxy, requests);
    return (cpuUs(proxy.pid) - before) / requests;
  };
  const probe = 50_000 * pipeline;
  for (const proxy of [without, with_, without]) await load(proxy, probe);
  const { requestsPerSecond } = await load(with_, probe);
  const requests = Math.round(requestsPerSecond * Number(values.seconds));
  const costs: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    // Either first in turn: what drifts meets both.
    const [first, second] = round % 2 === 0 ? [without, with_] : [with_, without];
    const one = await measure(first, requests);
    const other = await measure(second, requests);
    const [off, on] = round % 2 === 0 ? [one, other] : [other, one];
    costs.push(off);
    ratios.push(on / off);
    process.stderr.write(`\r${name}: ${round + 1} of ${values.rounds}   `);
  }
  const [low, high] = confidence(ratios);
  process.stderr.write('\r');
  process.stdout.write(
    `${name}: ${median(costs).toFixed(2)} us of CPU a request without, ratio with/without ` +
      `${median(ratios).toFixed(3)} (95 % confidence ${low.toFixed(3)} to ${high.toFixed(3)})\n`,
  );
}

/** CPU time of all threads of a process, to the nanosecond (/proc/PID/task/TID/schedstat). */
function cpuUs(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return ns / 1000;
}

/** Of the median, by resampling. */
function confidence(ratios: readonly number[]): [number, number] {
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(ratios.map(() => ratios[Math.floor(Math.random() * ratios.length)]!)),
  ).sort((a, b) => a - b);
  return [medians[Math.floor(RESAMPLES * 0.025)]!, medians[Math.floor(RESAMPLES * 0.975)]!];
}
