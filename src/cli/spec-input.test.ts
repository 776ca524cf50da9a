import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { CliError } from './cli-error.ts';
import { specInput, type SpecOptions } from './spec-input.ts';

function usage(pattern: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof CliError && error.code === 'USAGE' && pattern.test(error.message);
}

test('options become a specification', () => {
  const spec = cacheSpecSchema.parse(
    specInput(
      'Main',
      {
        shards: 5,
        replicas: 1,
        port: 0,
        memoryMax: 2 ** 30,
        ecpuMax: 5000,
        tls: 'required',
        tlsCert: 'a.crt',
        tlsKey: 'a.key',
      },
      '/srv',
    ),
  );
  assert.equal(spec.name, 'main');
  assert.equal(spec.shards, 5);
  assert.equal(spec.limits.memoryMaximumBytes, 2 ** 30);
  assert.equal(spec.limits.ecpuPerSecondMaximum, 5000);
  assert.equal(spec.limits.connectionsMaximum, 65_000);
  assert.equal(spec.tlsCertFile, '/srv/a.crt');
});

test('an unsharded cache is one shard without saying so', () => {
  assert.equal(specInput('a', { sharding: 'off' }, '/').shards, 1);
  assert.throws(
    () => specInput('a', { sharding: 'off', shards: 3 }, '/'),
    usage(/--shards: a cache without sharding has one shard, not 3/),
  );
});

test('mistakes are named as the user knows them, with the value and the bound', () => {
  const cases: [string, SpecOptions, RegExp][] = [
    ['9lives', {}, /NAME: "9lives" is no name for a cache: it begins with a letter/],
    ['a'.repeat(41), {}, /at most 40 letters.* \(this has 41\)/],
    ['a', { sharding: 'off', shards: 3 }, /--shards: .* has one shard, not 3/],
    ['a', { tlsCert: 'x', tls: 'required' }, /--tls-key: a certificate was given without its key/],
    ['a', { tlsKey: 'x', tls: 'required' }, /--tls-cert: a key was given without its certificate/],
    ['a', { tlsCert: 'x', tlsKey: 'y' }, /--tls: a certificate was given, but TLS is off/],
    ['a', { memoryMax: 1 }, /--memory-max: 1 B is below the least, 16 MB/],
    ['a', { deadline: 1 }, /--deadline: 1 ms is below the least, 100 ms/],
    ['a', { connectionsMax: 0 }, /--connections-max: 0 is below the least, 1/],
    ['a', { port: 65_535 }, /--reader-port: the port after 65535 is none/],
    ['a', { announceHost: 'a b' }, /--announce-host: "a b" is neither a host name nor/],
  ];
  for (const [name, options, words] of cases)
    assert.throws(() => specInput(name, options, '/'), usage(words));
});

test('a file gives what options leave out, and its mistakes are told with their field', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-spec-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const write = (value: unknown) =>
    writeFileSync(join(directory, 'spec.json'), JSON.stringify(value));
  const read = (name: string | undefined, options = {}) =>
    specInput(name, { file: 'spec.json', ...options }, directory);

  write({
    name: 'filed',
    shards: 7,
    replicas: 2,
    limits: { connectionsMaximum: 10, memoryMaximumBytes: 2 ** 30 },
  });
  const spec = read(undefined, { replicas: 0, memoryMax: 2 ** 31 });
  assert.deepEqual([spec.name, spec.shards, spec.replicas], ['filed', 7, 0]);
  assert.deepEqual(spec.limits, { connectionsMaximum: 10, memoryMaximumBytes: 2 ** 31 });
  assert.equal(read('named').name, 'named');

  write({ name: 'filed', sharding: false });
  assert.equal(read(undefined).shards, 1);
  write({ name: 'filed', shard: 3 });
  assert.throws(() => read(undefined), usage(/there is no "shard" in a specification/));
  write({ name: 'filed', shards: 'three' });
  assert.throws(() => read(undefined), usage(/shards \(--shards\): "three" is not a/));
  write({ name: 'filed', limits: null });
  assert.throws(() => read(undefined), usage(/limits: null is not an object/));
  write({ name: 'filed', limits: { keyMaximumBytes: 0 } });
  assert.throws(
    () => read(undefined),
    usage(/limits\.keyMaximumBytes: 0 B is below the least, 1 B/),
  );
  write({ name: 'filed', tls: 'required', tlsCertFile: 'own.crt', tlsKeyFile: '/srv/own.key' });
  assert.equal(read(undefined).tlsCertFile, join(directory, 'own.crt'));
  assert.equal(read(undefined).tlsKeyFile, '/srv/own.key');
  write([]);
  assert.throws(() => read(undefined), usage(/not a JSON object/));
  writeFileSync(join(directory, 'spec.json'), 'name: main');
  assert.throws(() => read(undefined), usage(/not valid JSON/));
  assert.throws(() => specInput('a', { file: 'absent.json' }, directory), usage(/Cannot read/));
});
