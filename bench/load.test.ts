import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterKeys, findLoadError, loadArguments, parseBenchmarkCsv, type Load } from './load.ts';

const HEADER =
  '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"';
const LOAD: Load = {
  host: '127.0.0.1',
  port: 7000,
  cluster: false,
  clients: 50,
  pipeline: 16,
  tls: false,
  command: 'get',
  requests: 800,
  keys: 100_000,
  valueBytes: 80,
};

test('the result line is read by the names of its columns', () => {
  const text = `${HEADER}\n"GET","99502.48","0.273","0.088","0.255","0.383","0.663","2.975"\n`;
  assert.deepEqual(parseBenchmarkCsv(text), {
    requestsPerSecond: 99_502.48,
    p50Ms: 0.255,
    p99Ms: 0.663,
  });
});

test('a custom command may hold quotes and commas', () => {
  const text = `${HEADER}\n"SET a","b","__data__","45454.55","0.666","0.096","0.663","0.975","1.135","2.063"\n`;
  assert.deepEqual(parseBenchmarkCsv(text), {
    requestsPerSecond: 45_454.55,
    p50Ms: 0.663,
    p99Ms: 1.135,
  });
});

test('warnings around the result are passed over', () => {
  const text = `WARNING: Could not fetch server CONFIG\n${HEADER}\n"GET","1.00","1","1","2","1","3","1"\n`;
  assert.deepEqual(parseBenchmarkCsv(text), { requestsPerSecond: 1, p50Ms: 2, p99Ms: 3 });
});

test('output without exactly one result is refused', () => {
  const row = '"GET","1.00","1","1","1","1","1","1"';
  for (const text of [
    '',
    HEADER,
    row,
    `${HEADER}\n${row}\n${row}`,
    `${HEADER}\n"GET","nan","1","1","1","1","1","1"`,
  ]) {
    assert.throws(
      () => parseBenchmarkCsv(text),
      { code: 'BENCH_OUTPUT_UNREADABLE' },
      JSON.stringify(text),
    );
  }
});

test('error replies are found, warnings are not errors', () => {
  const oom = "Error from server: OOM command not allowed when used memory > 'maxmemory'.";
  assert.equal(findLoadError(`WARNING: x\n${oom}\n${oom}\n`), oom);
  assert.equal(
    findLoadError('Could not connect to server at 127.0.0.1:1: Connection refused'),
    'Could not connect to server at 127.0.0.1:1: Connection refused',
  );
  assert.equal(findLoadError('WARNING: Could not fetch server CONFIG\n'), null);
});

test('with --cluster the keyspace is divided by the number of slots', () => {
  assert.deepEqual(clusterKeys(100_000), { perTag: 6, total: 98_304 });
  assert.equal(clusterKeys(10).perTag, 1);
  const args = loadArguments({ ...LOAD, cluster: true });
  assert.equal(args[args.indexOf('-r') + 1], '6');
  assert.ok(args.includes('--cluster'));
});

test('a plain load names every part of the cell', () => {
  assert.deepEqual(
    loadArguments(LOAD).join(' '),
    '-h 127.0.0.1 -p 7000 -c 50 -n 800 -P 16 -r 100000 -d 80 --csv --threads 1 -t get',
  );
});

test('TLS, a user and keys of their own are passed on', () => {
  const args = loadArguments({
    ...LOAD,
    command: 'set',
    tls: true,
    username: 'u',
    password: 'p',
    keyPrefix: 'mine',
  });
  assert.match(args.join(' '), /--tls --insecure --user u -a p -- SET mine:__rand_int__ __data__$/);
});
