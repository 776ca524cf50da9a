import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectArguments } from './connect.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { runCli } from './run-cli.ts';

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

test('connect starts the valkey-cli of the engine that the daemon uses', async () => {
  await using fake = await FakeApiServer.start();
  fake.addCache({ name: 'main', port: 7000 });
  const args = ['connect', 'main', '--data-dir', fake.dataDir, '--', 'ping'];
  const none = await runCli(args);
  assert.equal(none.exitCode, 6);
  assert.match(
    none.err,
    /came without valkey-cli\.\nInstall one that has it: springtide engine install/,
  );
  fake.valkeyCli = ['/bin/echo', 'this one:'];
  const { exitCode, out } = await runCli(args);
  assert.equal(exitCode, 0);
  assert.equal(out, 'this one: -h 127.0.0.1 -p 7000 ping\n');
});
