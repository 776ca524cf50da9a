import assert from 'node:assert/strict';
import { test } from 'node:test';
import { affordableConnections, descriptorLimit } from './idle.ts';
import { rotate } from './measure.ts';
import { chooseCells, parseOptions } from './options.ts';
import { parseAddress } from './targets/springtide.ts';
import { findProgram, versionIn } from './versions.ts';

test('plain and TLS of one load stand next to each other', () => {
  const cells = chooseCells([10, 50], [1], 'on');
  assert.deepEqual(
    cells.map((cell) => `${cell.clients}${cell.tls ? 't' : ''}`),
    ['10', '10t', '50', '50t'],
  );
  assert.ok(chooseCells([10], [1], 'only').every((cell) => cell.tls));
});

test('the whole bench by default, less with --quick, and options win over --quick', () => {
  const full = parseOptions([]);
  assert.equal(full.cells.length, 4 * 2 * 2);
  assert.deepEqual([full.repetitions, full.proxies, full.idleConnections], [3, [1, 2], 10_000]);
  const quick = parseOptions(['--quick', '--clients', '1000', '--only', 'springtide,direct']);
  assert.deepEqual(
    quick.cells.map((cell) => [cell.clients, cell.pipeline, cell.tls]),
    [
      [1000, 1, false],
      [1000, 16, false],
    ],
  );
  assert.deepEqual([quick.repetitions, quick.idleConnections], [1, 0]);
  assert.deepEqual(quick.targets, ['springtide', 'direct']);
});

test('a running Springtide is taken by address and pids', () => {
  const { running } = parseOptions([
    '--springtide',
    '127.0.0.1:7000',
    '--springtide-proxy-pids',
    '11,12',
  ]);
  assert.deepEqual(running?.address, { host: '127.0.0.1', port: 7000 });
  assert.deepEqual(running.pids, { proxy: [11, 12], node: [], other: [] });
});

test('addresses', () => {
  assert.deepEqual(parseAddress('[::1]:6379'), { host: '::1', port: 6379 });
  for (const wrong of ['6379', 'host', 'host:', 'host:70000', ':1']) {
    assert.throws(() => parseAddress(wrong), { code: 'BENCH_OPTION_INVALID' }, wrong);
  }
});

test('idle connections keep within open files', () => {
  const limits =
    'Limit  Soft Limit  Hard Limit  Units\nMax open files            20000                20000                files\n';
  assert.equal(descriptorLimit(limits), 20_000);
  const target = { descriptorsPerClient: 2 } as Parameters<typeof affordableConnections>[0];
  assert.equal(affordableConnections(target, 10_000, 20_000), 9_700);
  assert.equal(
    affordableConnections({ ...target, descriptorsPerClient: 1 }, 10_000, 20_000),
    10_000,
  );
  assert.equal(affordableConnections(target, 10_000, 100), 0);
});

test('the order of targets turns', () => {
  assert.deepEqual(rotate(['a', 'b', 'c'], 4), ['b', 'c', 'a']);
  assert.deepEqual(rotate([], 3), []);
});

test('versions as the peers print them', () => {
  assert.equal(
    versionIn('HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/'),
    '2.6.12-1+deb12u4',
  );
  assert.equal(versionIn('This is nutcracker-0.5.0'), '0.5.0');
  assert.equal(versionIn('/usr/bin/predixy predixy-1.0.5'), '1.0.5');
});

test('programs are found on the PATH, and what is not there is not', () => {
  assert.equal(findProgram('sh', '/nonexistent:/bin'), '/bin/sh');
  assert.equal(findProgram('no-such-program', '/bin'), null);
});
