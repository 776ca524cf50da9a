import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { withConnection } from './admin.ts';
import { findEngineTools, type EngineTools } from './engine-tools.ts';
import { runLoad, type Load } from './load.ts';
import { PortPicker } from './ports.ts';
import { nodeFaults, prefill } from './prefill.ts';
import { Processes } from './processes.ts';
import { startDirect } from './targets/direct.ts';
import { startSingle } from './targets/single.ts';
import type { Target, TargetContext } from './targets/target.ts';

const KEYSPACE = { keys: 20_000, valueBytes: 80 };
const TIMEOUT = { timeoutMs: 30_000 };
const directory = mkdtempSync(join(tmpdir(), 'springtide-bench-test-'));
const processes = new Processes(directory);
let engine: EngineTools;
let single: Target;
let direct: Target;

function loadOf(target: Target): Load {
  return {
    ...target.plain!,
    ...KEYSPACE,
    cluster: target.cluster,
    command: 'get',
    clients: 10,
    pipeline: 1,
    tls: false,
    requests: 5_000,
  };
}

before(async () => {
  engine = await findEngineTools(() => {});
  const context: TargetContext = {
    cleanup: new AsyncDisposableStack(),
    processes,
    ports: new PortPicker(),
    directory,
    certificate: null,
    valkeyServer: engine.server,
    valkeyVersion: engine.version,
    shards: 3,
    descriptorLimit: 2_000,
  };
  single = await startSingle(context);
  direct = await startDirect(context);
});

after(async () => {
  await processes[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

test('every key is there after the keyspace was filled, and GETs miss none', async () => {
  for (const target of [single, direct]) {
    await prefill(engine.benchmark, target, KEYSPACE);
    const before = await nodeFaults(target.nodes);
    const result = await runLoad(engine.benchmark, loadOf(target), TIMEOUT);
    assert.ok(result.requestsPerSecond > 0 && result.p99Ms >= result.p50Ms);
    assert.deepEqual(await nodeFaults(target.nodes), before);
  }
});

test('GETs beyond the keyspace are noticed', async () => {
  const before = await nodeFaults(single.nodes);
  await runLoad(engine.benchmark, { ...loadOf(single), keys: 2_000_000 }, TIMEOUT);
  assert.ok((await nodeFaults(single.nodes)).misses > before.misses);
});

test('a run with an error reply is an error', async () => {
  const limit = (bytes: string): Promise<unknown> =>
    withConnection(single.plain!, (client) => client.config('SET', 'maxmemory', bytes));
  await limit('1');
  try {
    await assert.rejects(
      runLoad(engine.benchmark, { ...loadOf(single), command: 'set' }, TIMEOUT),
      {
        code: 'BENCH_RUN_FAILED',
        message: /OOM/,
      },
    );
  } finally {
    await limit('0');
  }
});

test('nobody listening is an error', async () => {
  const port = await new PortPicker().pick();
  await assert.rejects(runLoad(engine.benchmark, { ...loadOf(single), port }, TIMEOUT), {
    code: 'BENCH_RUN_FAILED',
    message: /Connection refused/,
  });
});
