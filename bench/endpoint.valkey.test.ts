import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { withConnection } from './admin.ts';
import { benchEndpoint, renderEndpointReport, type EndpointBench } from './endpoint.ts';
import { findEngineTools } from './engine-tools.ts';
import { PortPicker } from './ports.ts';
import { Processes } from './processes.ts';
import { Progress } from './progress.ts';
import { startSingle } from './targets/single.ts';

test("an endpoint of the user's is measured, and only its own keys are touched", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-bench-test-'));
  const processes = new Processes(directory);
  t.after(async () => {
    await processes[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });
  const engine = await findEngineTools(() => {});
  const single = await startSingle({
    cleanup: new AsyncDisposableStack(),
    processes,
    ports: new PortPicker(),
    directory,
    certificate: null,
    valkeyServer: engine.server,
    valkeyVersion: engine.version,
    shards: 1,
    descriptorLimit: 2_000,
  });
  await withConnection(single.plain!, (client) => client.set('key:000000000001', 'mine'));
  const bench: EndpointBench = {
    address: single.plain!,
    tls: false,
    credentials: {},
    clients: [5],
    pipelines: [1, 4],
    repetitions: 1,
    secondsPerRun: 0.2,
    keys: 3_000,
    valueBytes: 80,
    pids: () => single.pids(),
  };
  const silent = new Progress(new PassThrough() as unknown as NodeJS.WriteStream);

  const results = await benchEndpoint(bench, silent, AbortSignal.timeout(60_000));

  assert.deepEqual(results.failures, []);
  assert.deepEqual(
    results.samples.map((sample) => `${sample.command} P${sample.pipeline}`),
    ['get P1', 'set P1', 'get P4', 'set P4'],
  );
  assert.ok(results.samples.every((sample) => sample.requestsPerSecond > 0));
  const table = renderEndpointReport(results);
  assert.equal(table.match(/^ {2}(GET|SET) /gm)?.length, 4);
  await withConnection(single.plain!, async (client) => {
    assert.equal(await client.dbsize(), 1);
    assert.equal(await client.get('key:000000000001'), 'mine');
  });
});
