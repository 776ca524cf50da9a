import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { CliError } from './cli-error.ts';
import { specInput } from './spec-input.ts';

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
    usage(/one shard, not 3/),
  );
});

test('mistakes are named as the user knows them', () => {
  assert.throws(
    () => specInput('9lives', {}, '/'),
    usage(/NAME: a cache name begins with a letter/),
  );
  assert.throws(
    () => specInput('a', { tlsCert: 'x' }, '/'),
    usage(/both --tls-cert and --tls-key/),
  );
  assert.throws(() => specInput('a', { tlsCert: 'x', tlsKey: 'y' }, '/'), usage(/TLS is off/));
  assert.throws(
    () => specInput('a', { memoryMin: 2, memoryMax: 1 }, '/'),
    usage(/minimum of memory/),
  );
  assert.throws(() => specInput('a', { deadline: 1 }, '/'), usage(/--deadline/));
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
    limits: { connectionsMaximum: 10, memoryMaximumBytes: 1000 },
  });
  const spec = read(undefined, { replicas: 0, memoryMax: 2000 });
  assert.deepEqual([spec.name, spec.shards, spec.replicas], ['filed', 7, 0]);
  assert.deepEqual(spec.limits, { connectionsMaximum: 10, memoryMaximumBytes: 2000 });
  assert.equal(read('named').name, 'named');

  write({ name: 'filed', sharding: false });
  assert.equal(read(undefined).shards, 1);
  write({ name: 'filed', shard: 3 });
  assert.throws(() => read(undefined), usage(/Unrecognized key: "shard"/));
  write({ name: 'filed', shards: 'three' });
  assert.throws(() => read(undefined), usage(/shards \(--shards\)/));
  write([]);
  assert.throws(() => read(undefined), usage(/not a JSON object/));
  writeFileSync(join(directory, 'spec.json'), 'name: main');
  assert.throws(() => read(undefined), usage(/not valid JSON/));
  assert.throws(() => specInput('a', { file: 'absent.json' }, directory), usage(/Cannot read/));
});
