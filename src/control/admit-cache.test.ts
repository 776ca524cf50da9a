import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { admitCache, checkSpec, isLoopback } from './admit-cache.ts';
import { ensureDevelopmentCertificate } from './development-certificate.ts';
import { Ports } from './ports.ts';
import { evenRange } from './slot-ranges.ts';

const here = () => ({ hostId: 'local', address: '127.0.0.1' });

suite('checkSpec', () => {
  test('fills in what is left out; an unsharded cache has one shard', () => {
    assert.equal(checkSpec({ name: 'Main' }).name, 'main');
    assert.equal(checkSpec({ name: 'a' }).shards, 3);
    assert.equal(checkSpec({ name: 'a', sharding: false }).shards, 1);
  });

  test('says which field is wrong', () => {
    assert.throws(() => checkSpec({ name: 'a', replicas: 9 }), /^ControlError: replicas: /);
    assert.throws(() => checkSpec({ name: 'a', limits: { keyMaximumBytes: 'x' } }), {
      code: 'InvalidParameterValue',
      message: /^limits\.keyMaximumBytes: /,
    });
    assert.throws(() => checkSpec(undefined), { code: 'InvalidParameterValue' });
  });

  test('what other machines can reach needs TLS, or to be called insecure', () => {
    const refused = { code: 'InvalidParameterCombination' };
    assert.throws(() => checkSpec({ name: 'a', bind: '10.0.0.1' }), refused);
    assert.throws(() => checkSpec({ name: 'a', bind: '10.0.0.1', tls: 'preferred' }), refused);
    checkSpec({ name: 'a', bind: '10.0.0.1', tls: 'required' });
    checkSpec({ name: 'a', bind: '10.0.0.1', insecure: true });
  });

  test('loopback is loopback', () => {
    for (const bind of ['127.0.0.1', '127.8.0.1', '::1', 'localhost']) assert.ok(isLoopback(bind));
    for (const bind of ['0.0.0.0', '::', '128.0.0.1', '127.example', 'example']) {
      assert.ok(!isLoopback(bind), bind);
    }
  });

  test('limits and files that contradict themselves are refused', () => {
    const refused = { code: 'InvalidParameterCombination' };
    const limits = { memoryMaximumBytes: 2 ** 30, memoryMinimumBytes: 2 ** 31 };
    assert.throws(() => checkSpec({ name: 'a', limits }), refused);
    assert.throws(() => checkSpec({ name: 'a', tls: 'required', tlsCertFile: '/x' }), refused);
    assert.throws(
      () => checkSpec({ name: 'a', tls: 'required', tlsCertFile: '/x', tlsKeyFile: '/y' }),
      /no file \/x/,
    );
  });
});

test('a certificate of your own is looked at before anything is made', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'springtide-admit-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const own = await ensureDevelopmentCertificate(join(dir, 'own'), ['127.0.0.1']);
  const other = await ensureDevelopmentCertificate(join(dir, 'other'), ['127.0.0.1']);
  const check = (tlsCertFile: string, tlsKeyFile: string) =>
    checkSpec({ name: 'a', tls: 'required', tlsCertFile, tlsKeyFile });
  check(own.certFile, own.keyFile);
  const words = join(dir, 'words.pem');
  writeFileSync(words, 'no certificate');
  for (const [cert, key] of [
    [own.certFile, other.keyFile],
    [words, own.keyFile],
    [own.certFile, words],
  ] as const) {
    assert.throws(() => check(cert, key), {
      code: 'InvalidParameterValue',
      message: /are not a certificate and its private key in PEM/,
    });
  }
  assert.throws(() => check(dir, own.keyFile), /cannot read .*EISDIR/);
});

suite('admitCache', () => {
  test('each shard gets a primary and its replicas, everything its own name and port', async () => {
    const ports = new Ports();
    const spec = checkSpec({ name: 'a', shards: 2, replicas: 2 });
    const { cache, nodes, users } = await admitCache(spec, ports, here, 5);
    ports.close();
    assert.equal(nodes.length, 6);
    assert.equal(new Set(nodes.flatMap(({ port, busPort }) => [port, busPort])).size, 12);
    assert.equal(new Set(nodes.map(({ id }) => id)).size, 6);
    assert.equal(nodes.filter(({ role }) => role === 'primary').length, 2);
    assert.match(cache.virtualPrimaryId, /^[0-9a-f]{40}$/);
    assert.notEqual(cache.virtualPrimaryId, cache.virtualReaderId);
    assert.notEqual(cache.systemSecret, users[0]!.upstreamSecret);
    assert.deepEqual([users[0]!.enabled, users[0]!.nopass], [true, true]);
  });

  test('off loopback the first user is off until it has a password', async () => {
    const ports = new Ports();
    const spec = checkSpec({ name: 'a', bind: '0.0.0.0', tls: 'required' });
    const { users } = await admitCache(spec, ports, here, 5);
    ports.close();
    assert.deepEqual([users[0]!.enabled, users[0]!.nopass], [false, false]);
  });
});

test('slot ranges: every slot once, shards as even as they can be', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), (shards) => {
      const ranges = Array.from({ length: shards }, (_, i) => evenRange(i, shards));
      assert.equal(ranges[0]!.first, 0);
      assert.equal(ranges.at(-1)!.last, 16_383);
      ranges.slice(1).forEach((range, i) => assert.equal(range.first, ranges[i]!.last + 1));
      const sizes = ranges.map(({ first, last }) => last - first + 1);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
    }),
  );
});
