/** valkey-cli and valkey-benchmark, plain and cluster-aware. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { installEngine } from '../../src/engine/catalogue.ts';
import { ServedCache } from '../harness/served-cache.ts';

const run = promisify(execFile);
let sharded: ServedCache;
let unsharded: ServedCache;
let cli: readonly string[];
let benchmark: readonly string[];

before(async () => {
  [sharded, unsharded] = await Promise.all([
    ServedCache.start({ sharding: true }),
    ServedCache.start({ sharding: false }),
  ]);
  const { tools } = await installEngine('9.1');
  cli = tools.cli ?? [];
  benchmark = tools.benchmark ?? [];
});
after(() => Promise.all([sharded?.stop(), unsharded?.stop()]));

async function tool(command: readonly string[], ...args: (string | number)[]): Promise<string> {
  const [file, ...rest] = command;
  const { stdout } = await run(file!, [...rest, ...args.map(String)], { timeout: 60_000 });
  return stdout;
}

for (const flags of [[], ['-c'], ['-3'], ['-c', '-3']]) {
  test(`valkey-cli ${flags.join(' ')}`, async () => {
    for (const cache of [sharded, unsharded]) {
      const ask = (...words: (string | number)[]) =>
        tool(cli, '-p', cache.port, ...flags, ...words);
      assert.equal(await ask('SET', 'k', 'v'), 'OK\n');
      assert.equal(await ask('GET', 'k'), 'v\n');
      assert.equal(await ask('MGET', 'k', 'none', 'k'), 'v\n\nv\n');
      assert.equal(await ask('--scan', '--pattern', 'k*'), 'k\n');
      assert.equal(await ask('EVAL', 'return KEYS', 1, 'k'), 'k\n');
      assert.match(await ask('LPUSH', 'k', 'x'), /^WRONGTYPE/);
      assert.match(await ask('INFO', 'server'), /valkey_version:9\.1/);
      assert.match(await ask('--bigkeys'), /Biggest string found "?k"?|Biggest string\s+found/);
    }
  });
}

test('valkey-cli reads commands from a pipe, and --pipe loads RESP', async () => {
  for (const cache of [sharded, unsharded]) {
    const [file, ...rest] = cli;
    const child = execFile(file!, [...rest, '-p', String(cache.port), '--pipe']);
    const done = new Promise<string>((resolve) => {
      let output = '';
      child.stdout!.on('data', (chunk: string) => (output += chunk));
      child.on('close', () => resolve(output));
    });
    for (let i = 0; i < 1000; i++) child.stdin!.write(`SET piped-${i} ${i}\r\n`);
    child.stdin!.end();
    assert.match(await done, /errors: 0, replies: 1000/);
    assert.equal(await tool(cli, '-p', cache.port, 'GET', 'piped-999'), '999\n');
  }
});

const WORKLOADS = [
  'PING_INLINE',
  'PING_MBULK',
  'SET',
  'GET',
  'INCR',
  'LPUSH',
  'LPOP',
  'SADD',
  'HSET',
  'ZADD',
  'LRANGE_100',
  'MSET',
  'XADD',
];

test('valkey-benchmark: every workload, pipelined', async () => {
  for (const cache of [sharded, unsharded]) {
    const output = await tool(
      benchmark,
      '-p',
      cache.port,
      '-n',
      2000,
      '-c',
      20,
      '-P',
      8,
      '-q',
      '-r',
      1000,
      '-t',
      'ping,set,get,incr,lpush,lpop,sadd,hset,zadd,lrange,mset,xadd',
    );
    for (const workload of WORKLOADS) {
      assert.match(output, new RegExp(`${workload}.*: [1-9][\\d.]* requests per second`), workload);
    }
    assert.doesNotMatch(output, /Error|ERR/);
  }
});

test('valkey-benchmark --cluster finds one node', async () => {
  const output = await tool(
    benchmark,
    '-p',
    sharded.port,
    '--cluster',
    '-n',
    2000,
    '-c',
    20,
    '-q',
    '-t',
    'set,get',
  );
  assert.match(output, /GET: [1-9][\d.]* requests per second/);
});
