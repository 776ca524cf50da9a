import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectArguments } from './connect.ts';
import { FakeApiServer } from './fake-api-server.ts';

test('connect dials the address the cache listens on, not the name it announces', async () => {
  await using fake = await FakeApiServer.start();
  const cache = fake.addCache({ name: 'a', bind: '127.0.0.2', port: 7000 });
  const announced = {
    ...cache,
    endpoint: 'cache.example:7000',
    readerEndpoint: 'cache.example:7001',
  };
  assert.deepEqual(connectArguments(announced, null, {}), ['-h', '127.0.0.2', '-p', '7000']);
  assert.deepEqual(connectArguments(announced, null, { reader: true }), [
    '-h',
    '127.0.0.2',
    '-p',
    '7001',
  ]);
});

test('connect dials loopback where the cache listens on every address', async () => {
  await using fake = await FakeApiServer.start();
  const cache = fake.addCache({ name: 'a', bind: '0.0.0.0', port: 7000, tls: 'required' });
  assert.equal(
    connectArguments(cache, '/ca.crt', { user: 'app' }).join(' '),
    '-h 127.0.0.1 -p 7000 --tls --cacert /ca.crt --user app --askpass',
  );
});
