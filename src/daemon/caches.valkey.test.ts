import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { Ports } from '../control/ports.ts';
import { readProcess } from '../engine/process-identity.ts';
import { eventually, TestDaemon } from './fixtures/test-daemon.ts';

suite('caches are made, refused and deleted', () => {
  const daemon = TestDaemon.forSuite();
  before(() => daemon.create({ name: 'bare', shards: 2 }));

  test('an endpoint is where it was asked for', async () => {
    const ports = new Ports();
    const { port } = await ports.nodePair();
    ports.close();
    const { endpoint } = await daemon.create({ name: 'there', sharding: false, port });
    assert.equal(endpoint, `127.0.0.1:${port}`);
    assert.equal(daemon.topologyCache('there').port, port);
    await daemon.operation('DELETE', '/v1/caches/there');
  });

  test('what cannot be is refused, under the codes of AWS', async () => {
    const cases: [Record<string, unknown>, string][] = [
      [{ name: 'bare' }, 'ServerlessCacheAlreadyExistsFault'],
      [{ name: '-x' }, 'InvalidParameterValue'],
      [{ name: 'x', shards: 0 }, 'InvalidParameterValue'],
      [{ name: 'x', nonsense: 1 }, 'InvalidParameterValue'],
      [{ name: 'x', bind: '0.0.0.0' }, 'InvalidParameterCombination'],
      [{ name: 'x', sharding: false, shards: 2 }, 'InvalidParameterCombination'],
      [
        { name: 'x', port: Number((await daemon.cache('bare')).endpoint.split(':')[1]) },
        'PortInUse',
      ],
    ];
    for (const [spec, code] of cases) {
      const refused = await daemon.refusal('POST', '/v1/caches', spec);
      assert.equal(refused.code, code, JSON.stringify(spec));
      assert.equal(refused.status, code === 'PortInUse' ? 409 : 400);
    }
    const missing = await daemon.refusal('GET', '/v1/caches/none');
    assert.deepEqual([missing.status, missing.code], [404, 'ServerlessCacheNotFoundFault']);
    assert.equal((await daemon.status()).caches.length, 1);
  });

  test('a deleted cache leaves no process and no file', async () => {
    const { nodes } = await daemon.cache('bare');
    await daemon.operation('DELETE', '/v1/caches/bare');
    for (const node of nodes) {
      assert.equal(readProcess(node.pid!), undefined);
      assert.ok(!readdirSync(daemon.paths.nodes).includes(node.id));
    }
    // Its warm nodes go too, once the pool sees that nobody needs them.
    await eventually('the pool', async () => readdirSync(daemon.paths.nodes).length === 0);
    assert.deepEqual((await daemon.status()).caches, []);
    await eventually('the topology', async () => daemon.topology?.caches.length === 0);
  });
});

test('a cache whose nodes cannot start is create-failed, leaves nothing, and may be tried again', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'springtide-broken-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const binary = join(dir, 'valkey-server');
  const script =
    '#!/bin/sh\n[ "$1" = --version ] && echo "Valkey server v=9.1.2 sha=0:0" && exit 0\necho broken on purpose\nexit 1\n';
  writeFileSync(binary, script, { mode: 0o755 });
  const daemon = await TestDaemon.forTest(t, [`--engine-binary=${binary}`]);
  const spec = { name: 'never', shards: 1 };
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(daemon.operation('POST', '/v1/caches', spec), /broken on purpose/);
    const cache = await daemon.cache('never');
    assert.equal(cache.state, 'create-failed');
    assert.match(cache.reason!, /broken on purpose/);
    await eventually('the topology', async () => daemon.topology?.caches.length === 0);
  }
  await daemon.operation('DELETE', '/v1/caches/never');
  assert.deepEqual(readdirSync(daemon.paths.nodes), []);
  assert.deepEqual((await daemon.status()).caches, []);
});

test('metrics: valid exposition text with every name that the document has', async (t) => {
  const daemon = await TestDaemon.forTest(t);
  await daemon.create({ name: 'seen', shards: 1, replicas: 1 });
  await daemon.healthy('seen');
  const { metricsUrl } = await daemon.status();
  const answer = await fetch(metricsUrl!);
  assert.match(answer.headers.get('content-type')!, /^text\/plain/);
  const text = await answer.text();
  for (const line of text.split('\n')) {
    assert.match(line, /^$|^# (HELP|TYPE) \S+ .+$|^\w+(\{[^}]*\})? \S+$/);
  }
  const documented = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  for (const row of documented.split('\n').filter((one) => one.startsWith('| `springtide_'))) {
    for (const [, name] of row.split('|')[1]!.matchAll(/`(springtide_\w+[a-z])`/g)) {
      assert.ok(text.includes(`# TYPE ${name!} `), name!);
    }
  }
  assert.match(text, /springtide_node_up\{cache="seen",node="[^"]+",shard="0",role="replica"\} 1/);
  assert.match(text, /springtide_cache_available\{cache="seen"\} 1/);
});
