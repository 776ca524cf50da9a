/**
 * The command line as a user has it: the launcher, a daemon, proxies and real nodes, in a data directory and on ports of
 * its own. One story, told in order.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type {
  CacheStatus,
  EngineStatus,
  SystemStatus,
  UserStatus,
} from '../src/model/admin-api.ts';
import type { BenchResults } from '../bench/sample.ts';
import { dataDirPaths } from '../src/model/data-dir.ts';

const LAUNCHER = fileURLToPath(new URL('../bin/springtide', import.meta.url));

interface Result {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

const COMMAND_MAXIMUM_MS = 120_000;

suite('the command line, on real nodes', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'springtide-e2e-cli-'));
  let port = 0;

  /**
   * @param onOutput told all of standard output each time it grows
   * @param onError the same for standard error
   */
  function run(
    args: readonly string[],
    input = '',
    onOutput?: (out: string, kill: (signal: NodeJS.Signals) => void) => void,
    onError?: (err: string, kill: (signal: NodeJS.Signals) => void) => void,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const env = { ...process.env, NO_COLOR: '1', SPRINGTIDE_DATA_DIR: dataDir };
      // One that hangs fails its test and no more.
      const child = spawn(LAUNCHER, args, { env, stdio: 'pipe', timeout: COMMAND_MAXIMUM_MS });
      let [out, err] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text;
        onOutput?.(out, (signal) => child.kill(signal));
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        err += text;
        onError?.(err, (signal) => child.kill(signal));
      });
      child.once('error', reject);
      child.once('close', (exitCode) => resolve({ exitCode, out, err }));
      child.stdin.on('error', () => undefined).end(input);
    });
  }

  async function json<Value>(...args: string[]): Promise<Value> {
    const { exitCode, out, err } = await run([...args, '--json']);
    assert.equal(exitCode, 0, err);
    return JSON.parse(out) as Value;
  }

  async function valkey(cache: string, ...command: string[]): Promise<string> {
    const { exitCode, out, err } = await run(['connect', cache, '--', ...command]);
    assert.equal(exitCode, 0, err);
    return out.trim();
  }

  before(async () => {
    port = await freePortPair();
  });
  after(async () => {
    await run(['down']);
    rmSync(dataDir, { recursive: true, force: true });
  });

  const upArgs = () => ['up', '--port', String(port), '--proxies', '1', '--metrics-port', 'auto'];

  test('up, from nothing to a cache that answers; Ctrl-C stops all of it', async () => {
    let status: SystemStatus | null = null;
    const { exitCode, out, err } = await run(upArgs(), '', (text, kill) => {
      if (status === null && /Stop +Ctrl-C/.test(text)) {
        status = {} as SystemStatus;
        void json<SystemStatus>('status').then((seen) => {
          status = seen;
          kill('SIGINT');
        });
      }
    });
    assert.equal(exitCode, 0, err);
    assert.match(out, /Engine +Valkey 9\.1\.\d+/);
    assert.match(out, new RegExp(`Endpoint +127\\.0\\.0\\.1:${port}\n`));
    assert.match(out, new RegExp(`Reader endpoint +127\\.0\\.0\\.1:${port + 1}\n`));
    assert.match(out, /Metrics +http:\/\/127\.0\.0\.1:\d+\/metrics/);
    assert.match(err, /Springtide is stopped/);
    const { pid, caches, proxies } = status!;
    assert.equal(caches[0]!.nodes.length, 3);
    const pids = [
      pid,
      ...proxies.map((proxy) => proxy.pid),
      ...caches[0]!.nodes.map((node) => node.pid),
    ];
    assert.deepEqual(
      pids.filter((each) => each !== null && isRunning(each)),
      [],
    );
  });

  test('up --detach brings the cache back, and a second up finds it', async () => {
    const up = await run([...upArgs(), '--detach']);
    assert.equal(up.exitCode, 0, up.err);
    assert.match(up.out, /Stop +\S+ down/);
    assert.equal(await valkey('main', 'SET', 'greeting', 'hello'), 'OK');
    assert.equal(await valkey('main', 'GET', 'greeting'), 'hello');
    const again = await run(upArgs());
    assert.equal(again.exitCode, 0);
    assert.match(again.out, /already runs here/);
  });

  test('a second cache with a replica, TLS and a user; failover; the first one is not touched', async () => {
    const created = await run(
      [
        'create',
        'safe',
        '--shards',
        '1',
        '--replicas',
        '1',
        '--tls',
        'required',
        '--user',
        'app:~* +@all',
        '--password-file',
        '-',
        '--json',
      ],
      'correct horse\n',
    );
    assert.equal(created.exitCode, 0, created.err);
    const cache = JSON.parse(created.out) as CacheStatus;
    assert.equal(cache.state, 'available');
    assert.deepEqual(
      (await json<UserStatus[]>('user', 'list', 'safe')).map(({ name }) => name).sort(),
      ['app', 'default'],
    );
    assert.equal(await valkey('safe', 'SET', 'k', 'v'), 'OK');
    const primary = cache.nodes.find((node) => node.role === 'primary')!;
    const failover = await json<{ primary: { id: string } }>('failover', 'safe', '0');
    assert.notEqual(failover.primary.id, primary.id);
    assert.equal(await valkey('safe', 'GET', 'k'), 'v');
    assert.equal(await valkey('main', 'GET', 'greeting'), 'hello');
  });

  test('bench needs nobody’s password, and leaves neither keys nor users', async () => {
    const before = await json<UserStatus[]>('user', 'list', 'safe');
    const { results, commandLines } = await benchWatched();
    assert.deepEqual(results.failures, []);
    assert.ok(results.samples.every(({ requestsPerSecond }) => requestsPerSecond > 0));
    assert.ok(commandLines.length > 0, 'valkey-benchmark was never seen');
    for (const line of commandLines) {
      assert.match(line, /--user springtide-bench-\d+-[0-9a-f]{8} /);
      assert.doesNotMatch(line, /correct horse/);
    }
    assert.deepEqual(await json<UserStatus[]>('user', 'list', 'safe'), before);
    assert.equal(await valkey('safe', 'DBSIZE'), '1');
  });

  for (const signals of [['SIGHUP'], ['SIGTERM'], ['SIGINT', 'SIGINT']] as const) {
    test(`a bench that is ended by ${signals.join(', ')} leaves neither keys nor users`, async () => {
      const before = await json<UserStatus[]>('user', 'list', 'safe');
      // The first while it measures, the second while it removes the keys.
      const moments = [/warming up/, /removing the keys/];
      let sent = 0;
      const words = 'bench safe --yes --no-direct --clients 2 --pipeline 4 --seconds 60';
      const { exitCode, err } = await run(words.split(' '), '', undefined, (text, kill) => {
        if (sent < signals.length && moments[sent]!.test(text)) kill(signals[sent++]!);
      });
      assert.equal(exitCode, 130, err);
      assert.equal(sent, signals.length);
      assert.match(err, /The bench was stopped/);
      assert.deepEqual(await json<UserStatus[]>('user', 'list', 'safe'), before);
      assert.equal(await valkey('safe', 'DBSIZE'), '1');
    });
  }

  /** Measures the cache "safe", looking at what everybody on the machine can see of it. */
  async function benchWatched() {
    const commandLines: string[] = [];
    const watch = setInterval(() => commandLines.push(...benchmarkCommandLines()), 20);
    const words = 'bench safe --yes --no-direct --clients 2 --pipeline 4 --seconds 1 --json';
    const { exitCode, out, err } = await run(words.split(' '));
    clearInterval(watch);
    assert.equal(exitCode, 0, err);
    return { results: JSON.parse(out) as BenchResults, commandLines };
  }

  test('engines in use are shown and stay', async () => {
    const engines = await json<EngineStatus[]>('engine', 'list');
    assert.deepEqual(engines.find(({ line }) => line === '9.1')!.usedBy.toSorted(), [
      'main',
      'safe',
    ]);
    assert.equal((await run(['engine', 'remove', '9.1'])).exitCode, 5);
  });

  test('names and ports that are taken are refused with 5', async () => {
    assert.equal((await run(['create', 'main'])).exitCode, 5);
    const taken = await run(['create', 'third', '--port', String(port)]);
    assert.equal(taken.exitCode, 5);
    assert.match(taken.err, /already in use/);
  });

  test('logs tell of the caches, the proxies and the nodes', async () => {
    assert.match((await run(['logs'])).out, /INFO .*Cache safe is created/);
    assert.match((await run(['logs', 'node'])).out, /Ready to accept connections/);
    assert.equal((await run(['logs', 'proxy', '0'])).exitCode, 0);
  });

  test('a daemon that is killed leaves the caches serving, and up takes them over', async () => {
    const earlier = await json<SystemStatus>('status');
    process.kill(Number(readFileSync(dataDirPaths(dataDir).daemonPidFile, 'utf8')), 'SIGKILL');
    assert.equal((await run(['list'])).exitCode, 4);
    const doctor = await run(['doctor']);
    assert.match(doctor.out, /not running, but \d+ node or proxy processes of it still serve/);
    assert.equal((await run([...upArgs(), '--detach'])).exitCode, 0);
    const later = await json<SystemStatus>('status');
    const nodePids = (status: SystemStatus) =>
      status.caches.flatMap((cache) => cache.nodes.map((node) => node.pid)).sort();
    assert.deepEqual(nodePids(later), nodePids(earlier));
    assert.equal(await valkey('main', 'GET', 'greeting'), 'hello');
  });

  test('delete takes one cache away, down the rest', async () => {
    assert.equal((await run(['delete', 'safe', '--yes'])).exitCode, 0);
    assert.deepEqual(
      (await json<CacheStatus[]>('list')).map(({ spec }) => spec.name),
      ['main'],
    );
    const { pid, caches } = await json<SystemStatus>('status');
    const down = await run(['down']);
    assert.equal(down.exitCode, 0, down.err);
    const pids = [pid, ...caches[0]!.nodes.map((node) => node.pid)];
    assert.deepEqual(
      pids.filter((each) => each !== null && isRunning(each)),
      [],
    );
    assert.equal((await run(['down'])).exitCode, 4);
  });

  test('down stops what a killed daemon left behind', async () => {
    assert.equal((await run([...upArgs(), '--detach'])).exitCode, 0);
    const { pid, caches, proxies } = await json<SystemStatus>('status');
    process.kill(pid, 'SIGKILL');
    const down = await run(['down']);
    assert.equal(down.exitCode, 0, down.err);
    const pids = [
      ...proxies.map((proxy) => proxy.pid),
      ...caches[0]!.nodes.map((node) => node.pid),
    ];
    assert.deepEqual(
      pids.filter((each) => each !== null && isRunning(each)),
      [],
    );
  });
});

/** A process that ended but that nobody has waited for yet does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Two free ports in a row. Between this look and the listening somebody else may take one: the test then says so. */
async function freePortPair(): Promise<number> {
  for (;;) {
    const server = await listen(0);
    const { port } = server.address() as AddressInfo;
    const next = await listen(port + 1).catch(() => null);
    server.close();
    next?.close();
    if (next) return port;
  }
}

function listen(port: number) {
  return new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** Command lines of valkey-benchmark that log in as a user of springtide bench. */
function benchmarkCommandLines(): string[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return line.includes('valkey-benchmark') && line.includes('springtide-bench') ? [line] : [];
    } catch {
      // It ended between the list and the look.
      return [];
    }
  });
}
