/**
 * What metering and counting by slot cost the data plane: one proxy under a steady load is told to count, not to count, and so
 * on, a second each; CPU for each request of a second with, over that of the seconds without before and after it. One process,
 * one load, neighbours in time: what disturbs the machine disturbs both.
 *
 *   node bench/heat-cost.ts [--seconds 120] [--clients 50]
 *
 * The bench is the control plane's end of the link, so what the proxy's reports cost is in it; the daemon's own part is not.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { program } from '../src/lib/program.ts';
import { dataDirPaths } from '../src/model/data-dir.ts';
import type { ControlToProxy, ProxyToControl } from '../src/model/plane-link.ts';
import type { ProxyUsage } from '../src/model/usage.ts';
import { NodeFarm } from '../e2e/harness/node-farm.ts';
import { RawClient } from '../e2e/harness/raw-client.ts';
import { OPEN_USER, topologyOfNodes } from '../e2e/harness/topology-of-nodes.ts';
import { findEngineTools } from './engine-tools.ts';
import { loadArguments } from './load.ts';
import { count } from './option-values.ts';
import { median } from './summary.ts';

const PROXY_ENTRY = fileURLToPath(new URL('../src/daemon/proxy.ts', import.meta.url));
const RESAMPLES = 2000;
/** Until all connections are there and the code is compiled. */
const WARM_UP_SECONDS = 5;

/** `keys` spread over all slots; few of them make slots so hot that their keys are watched as well. */
const SCENARIOS = [
  { name: 'GET, 100,000 keys, pipeline 1', keys: 100_000, pipeline: 1 },
  { name: 'GET, 100,000 keys, pipeline 16', keys: 100_000, pipeline: 16 },
  { name: 'GET, 5 hot keys that are watched, pipeline 1', keys: 5, pipeline: 1 },
  { name: 'GET, 5 hot keys that are watched, pipeline 16', keys: 5, pipeline: 16 },
] as const;
type Scenario = (typeof SCENARIOS)[number];

const values = program('node bench/heat-cost.ts')
  .description('Measures what metering and counting by slot cost the data plane.')
  .option('--seconds <n>', 'how long each of the two is measured', count, 120)
  .option('--clients <n>', 'of the load', count, 50)
  .parse()
  .opts<{ readonly seconds: number; readonly clients: number }>();

/** What the proxy says, once a second; `tell` answers over the same link. */
type OnReport = (usage: ProxyUsage, tell: (message: ControlToProxy) => void) => void;

const tools = await findEngineTools(() => process.stderr.write('Installing Valkey ...\n'));
const dir = mkdtempSync(join(tmpdir(), 'springtide-heat-cost-'));
const farm = new NodeFarm(dir);
let onReport: OnReport = () => undefined;
const link = createServer((socket) => listenTo(socket));
let proxy: ChildProcess | null = null;
let load: ChildProcess | null = null;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().finally(() => process.exit(1)));
try {
  const acl = [`user default on >${OPEN_USER.upstreamSecret} ${OPEN_USER.rules}`];
  const nodes = await farm.startCluster(3, 0, { acl });
  const cache = topologyOfNodes(nodes, 3, await farm.portPair(), {});
  const paths = dataDirPaths(join(dir, 'data'));
  mkdirSync(join(paths.proxies, '0'), { recursive: true });
  mkdirSync(paths.run, { recursive: true });
  const topology = JSON.stringify({ version: 1, caches: [cache] });
  writeFileSync(join(paths.proxies, '0', 'topology.json'), topology);
  link.listen(paths.controlSocket);
  const args = [PROXY_ENTRY, '--data-dir', join(dir, 'data'), '--log-level', 'fatal'];
  proxy = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  (await RawClient.whenUp(cache.port)).close();
  process.stdout.write(
    `Valkey ${tools.version}, ${values.clients} clients, ${values.seconds} s each\n`,
  );
  for (const scenario of SCENARIOS) await compare(scenario, cache.port);
} finally {
  await cleanUp();
}

/** Nothing that was started outlives the bench. */
async function cleanUp(): Promise<void> {
  await Promise.all([end(load), end(proxy)]);
  link.close();
  await farm.stopAll();
  rmSync(dir, { recursive: true, force: true });
}

/** The control plane's end of the link, as far as the reports need it. */
function listenTo(socket: Socket): void {
  const tell = (message: ControlToProxy) => socket.write(`${JSON.stringify(message)}\n`);
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).on('line', (line) => {
    const message = JSON.parse(line) as ProxyToControl;
    if (message.type === 'usage') {
      onReport(message.usage, tell);
    } else if (message.type === 'heat') {
      const { cacheId, sequence } = message.report;
      tell({ type: 'heat-taken', cacheId, sequence });
    }
  });
}

async function compare({ name, keys, pipeline }: Scenario, port: number): Promise<void> {
  load = startLoad(port, keys, pipeline);
  const costs = await costsBySecond(name);
  await end(load);
  /** Of a second with, to its neighbours without. */
  const ratios = costs.flatMap((cost, second) => {
    const [before, after] = [costs[second - 1], costs[second + 1]];
    if (second % 2 === 0 || before === undefined || after === undefined) return [];
    return [cost / ((before + after) / 2)];
  });
  const without = costs.filter((_, second) => second % 2 === 0);
  const [low, high] = confidence(ratios);
  process.stderr.write('\r');
  process.stdout.write(
    `${name}: ${median(without).toFixed(2)} us of CPU a request without, ratio with/without ` +
      `${median(ratios).toFixed(3)} (95 % confidence ${low.toFixed(3)} to ${high.toFixed(3)})\n`,
  );
}

/** Microseconds of CPU a request of each second: without in the even ones, with in the odd ones. */
function costsBySecond(name: string): Promise<number[]> {
  return new Promise((resolve) => {
    const costs: number[] = [];
    let before: ProxyUsage | null = null;
    let second = -WARM_UP_SECONDS;
    onReport = (usage, tell) => {
      if (before !== null && second >= 0) {
        const requests = usage.caches[0]!.requests - before.caches[0]!.requests;
        costs[second] = ((usage.cpuSeconds - before.cpuSeconds) * 1e6) / requests;
        process.stderr.write(`\r${name}: ${second + 1} of ${values.seconds} s   `);
      }
      before = usage;
      second++;
      // The second that begins now; -1 is one more to warm up.
      tell({ type: 'count-heat', counts: second % 2 !== 0 });
      if (second < values.seconds) return;
      onReport = () => undefined;
      tell({ type: 'count-heat', counts: true });
      resolve(costs);
    };
  });
}

/** Until it is ended. */
function startLoad(port: number, keys: number, pipeline: number): ChildProcess {
  const { file, args } = tools.benchmark;
  const words = loadArguments({
    host: '127.0.0.1',
    port,
    cluster: false,
    command: 'get',
    requests: 2_000_000_000,
    keys,
    valueBytes: 80,
    tls: false,
    clients: values.clients,
    pipeline,
  });
  return spawn(file, [...args, ...words], { stdio: 'ignore' });
}

async function end(child: ChildProcess | null): Promise<void> {
  if (child !== null && child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
  await delay(0);
}

/** Of the median, by resampling. */
function confidence(ratios: readonly number[]): [number, number] {
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(ratios.map(() => ratios[Math.floor(Math.random() * ratios.length)]!)),
  ).sort((a, b) => a - b);
  return [medians[Math.floor(RESAMPLES * 0.025)]!, medians[Math.floor(RESAMPLES * 0.975)]!];
}
