import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test, type TestContext } from 'node:test';
import type { TlsMode } from '../src/model/cache-spec.ts';
import { withConnection } from './admin.ts';
import { makeCertificate } from './certificate.ts';
import { findEngineTools } from './engine-tools.ts';
import { chooseCells } from './options.ts';
import { PortPicker } from './ports.ts';
import { Processes } from './processes.ts';
import { Progress } from './progress.ts';
import { runBench } from './run.ts';
import { startSingle } from './targets/single.ts';

/** One node with a plain and a TLS port, as somebody's endpoint. */
async function endpoint(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-bench-test-'));
  const processes = new Processes(directory);
  t.after(async () => {
    await processes[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });
  const engine = await findEngineTools(() => {});
  return startSingle({
    cleanup: new AsyncDisposableStack(),
    processes,
    ports: new PortPicker(),
    directory,
    certificate: makeCertificate(directory),
    valkeyServer: engine.server,
    valkeyVersion: engine.version,
    shards: 1,
    descriptorLimit: 2_000,
  });
}

for (const tls of ['off', 'required'] satisfies TlsMode[])
  test(`a cache that runs (TLS ${tls}) is measured, and only the bench's own keys come and go`, async (t) => {
    const single = await endpoint(t);
    await withConnection(single.plain!, (client) => client.set('key:000000000001', 'mine'));

    const results = await runBench(
      {
        targets: ['springtide'],
        proxies: [1],
        cells: chooseCells([5], [16], tls === 'off' ? 'off' : 'only'),
        repetitions: 1,
        secondsPerRun: 0.2,
        idleConnections: 0,
        jsonFile: null,
        svgFile: null,
        fromFile: null,
        running: {
          address: tls === 'off' ? single.plain! : single.tls!,
          tls,
          credentials: {},
          shards: 1,
          pids: await single.pids(),
        },
      },
      new Progress(new PassThrough() as unknown as NodeJS.WriteStream),
      AbortSignal.timeout(120_000),
    );

    assert.deepEqual(results.failures, []);
    assert.deepEqual(
      results.samples.map(({ command, tls }) => `${command} ${tls}`),
      ['get', 'set'].map((command) => `${command} ${tls === 'required'}`),
    );
    assert.ok(results.samples.every(({ requestsPerSecond }) => requestsPerSecond > 0));
    assert.equal(results.settings.shards, 1);
    await withConnection(single.plain!, async (client) => {
      assert.equal(await client.dbsize(), 1);
      assert.equal(await client.get('key:000000000001'), 'mine');
    });
  });
