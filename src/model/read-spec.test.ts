import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CacheSpecInput } from './cache-spec.ts';
import { readSpec, type SpecProblem } from './read-spec.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

function specOf(input: CacheSpecInput) {
  const read = readSpec(input);
  assert.ok('spec' in read, JSON.stringify(read));
  return read.spec;
}

function problemsOf(input: unknown): readonly SpecProblem[] {
  const read = readSpec(input);
  return 'problems' in read ? read.problems : [];
}

/** The one thing that is wrong with it: `field: message`. */
function problemOf(input: unknown): string {
  const problems = problemsOf(input);
  assert.equal(problems.length, 1, JSON.stringify(problems));
  return `${problems[0]!.field}: ${problems[0]!.message}`;
}

function withLimits(limits: CacheSpecInput['limits'], shards = 3): CacheSpecInput {
  return { name: 'a', shards, limits };
}

test('what is left out has its default; an unsharded cache has one shard', () => {
  assert.equal(specOf({ name: 'Main' }).name, 'main');
  assert.equal(specOf({ name: 'a' }).shards, 3);
  assert.equal(specOf({ name: 'a', sharding: false }).shards, 1);
  assert.match(problemOf({ name: 'a', sharding: false, shards: 3 }), /^shards: .* not 3/);
});

suite('memory', () => {
  test('each shard gets what an engine can work in', () => {
    specOf(withLimits({ memoryMaximumBytes: 48 * MIB }));
    specOf(withLimits({ memoryMaximumBytes: 16 * MIB }, 1));
    specOf({ name: 'a', sharding: false, limits: { memoryMaximumBytes: 16 * MIB } });
    assert.equal(
      problemOf(withLimits({ memoryMaximumBytes: 1 })),
      'limits.memoryMaximumBytes: 1 B is below the least, 16 MB (or 0: not set)',
    );
    assert.equal(
      problemOf(withLimits({ memoryMaximumBytes: 48 * MIB - 1 })),
      'limits.memoryMaximumBytes: 48 MB (50331647 bytes) over 3 shards is 16 MB (16777215 bytes) each, below the least, 16 MB: ask for 48 MB or more, or for fewer shards',
    );
    assert.match(problemOf(withLimits({ memoryMinimumBytes: 5 })), /5 B is below the least/);
  });

  test('AWS has the largest, and a minimum stays below its maximum', () => {
    specOf(withLimits({ memoryMaximumBytes: 5_000 * GIB }));
    assert.match(
      problemOf(withLimits({ memoryMaximumBytes: 5_000 * GIB + 1 })),
      /^limits\.memoryMaximumBytes: 4\.88 TB \(5368709120001 bytes\) is above the most/,
    );
    specOf(withLimits({ memoryMinimumBytes: GIB, memoryMaximumBytes: GIB }));
    specOf(withLimits({ memoryMinimumBytes: GIB }));
    assert.equal(
      problemOf(withLimits({ memoryMinimumBytes: 2 * GIB, memoryMaximumBytes: GIB })),
      'limits.memoryMinimumBytes: 2 GB is above the maximum, 1 GB',
    );
  });
});

test('ECPU: 1,000 to 15,000,000 a second, or not set', () => {
  specOf(withLimits({ ecpuPerSecondMaximum: 1_000, ecpuPerSecondMinimum: 1_000 }));
  specOf(withLimits({ ecpuPerSecondMaximum: 15_000_000 }));
  assert.match(
    problemOf(withLimits({ ecpuPerSecondMaximum: 999 })),
    /999 is below the least, 1000/,
  );
  assert.match(
    problemOf(withLimits({ ecpuPerSecondMinimum: 15_000_001 })),
    /15000001 is above the most, 15000000/,
  );
  assert.match(
    problemOf(withLimits({ ecpuPerSecondMaximum: 2_000, ecpuPerSecondMinimum: 3_000 })),
    /3000 is above the maximum, 2000/,
  );
});

test('a limit within another is no larger than that', () => {
  assert.match(
    problemOf(withLimits({ keyMaximumBytes: 4096, bulkMaximumBytes: 2048 })),
    /^limits\.keyMaximumBytes: 4 KB is above bulkMaximumBytes, 2 KB$/,
  );
  assert.match(
    problemOf(withLimits({ requestMaximumBytes: 2 * MIB })),
    /^limits\.bulkMaximumBytes: /,
  );
  assert.match(
    problemOf(withLimits({ pubsubOutputHardBytes: MIB })),
    /^limits\.pubsubOutputSoftBytes: /,
  );
  assert.match(problemOf(withLimits({ connectionsMaximum: 10 ** 9 })), /above the most, 1000000/);
});

test('ports: the reader has its own', () => {
  specOf({ name: 'a', port: 65_534 });
  specOf({ name: 'a', port: 65_535, readerPort: 65_534 });
  assert.match(problemOf({ name: 'a', port: 65_535 }), /^readerPort: the port after 65535 is none/);
  assert.match(problemOf({ name: 'a', port: 7, readerPort: 7 }), /^readerPort: 7 is the port of/);
  assert.equal(problemOf({ name: 'a', port: 65_536 }), 'port: 65536 is above the most, 65535');
  assert.equal(problemOf({ name: 'a', readerPort: -1 }), 'readerPort: -1 is below the least, 0');
});

test('hosts', () => {
  for (const bind of ['127.0.0.1', '::1', 'fe80::1%eth0', 'cache-1.example'])
    specOf({ name: 'a', bind });
  for (const host of ['', 'a b', 'http://a', 'x'.repeat(254)]) {
    assert.match(problemOf({ name: 'a', announceHost: host }), /^announceHost: /);
    assert.match(problemOf({ name: 'a', bind: host }), /^bind: .* is neither a host name nor/);
  }
});

test('what is not even a specification is told by field, kind and value', () => {
  assert.deepEqual(
    problemsOf({ nam: 'a', limits: { memory: 1 }, tls: 'on', shards: 1.5 }).map(
      ({ field, message }) => `${field}: ${message}`,
    ),
    [
      'name: it is missing',
      'shards: 1.5 is not a whole number',
      'tls: "on" is not one of off, preferred, required',
      'limits: there is no "memory" in a specification',
      ': there is no "nam" in a specification',
    ],
  );
  assert.equal(problemOf({ name: 'a', sharding: 'off' }), 'sharding: "off" is not true or false');
  assert.equal(problemOf({ name: 'a', limits: null }), 'limits: null is not an object in braces');
  assert.equal(
    problemOf({ name: 'a', deadlineMs: 99 }),
    'deadlineMs: 99 ms is below the least, 100 ms',
  );
  assert.equal(problemOf({ name: 'a', engine: 'redis' }), 'engine: "redis" is not valkey');
  assert.equal(problemOf({ name: 'a', port: '6379' }), 'port: "6379" is not a number');
  assert.match(problemOf(undefined), /^: it is missing/);
});
