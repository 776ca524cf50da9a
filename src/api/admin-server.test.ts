import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { ControlError } from '../control/control-error.ts';
import type { ControlPlane } from '../control/control-plane.ts';
import { startAdminServer } from './admin-server.ts';

/** The server on a socket of its own; what it is asked for users of is written down. */
async function start(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-api-'));
  const socketPath = join(directory, 'api.sock');
  const asked: string[][] = [];
  const control: Pick<ControlPlane, 'putUser' | 'users'> = {
    putUser: (cache, user) => {
      asked.push([cache, user]);
      return Promise.reject(new ControlError('InvalidParameterValue', 'refused by control'));
    },
    users: () => [],
  };
  const app = await startAdminServer(
    socketPath,
    {
      control: control as ControlPlane,
      version: '0',
      dataDir: directory,
      startedAtMs: 0,
      metricsUrl: () => null,
      shutDown: () => Promise.resolve(),
    },
    pino({ level: 'silent' }),
  );
  t.after(async () => {
    await app.close();
    rmSync(directory, { recursive: true });
  });
  const call = async (method: string, path: string, body = '') => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const headers = body === '' ? {} : { 'content-type': 'application/json' };
    request({ socketPath, method, path, headers }, (response) => {
      text(response).then((said) => resolve({ status: response.statusCode!, text: said }), reject);
    })
      .once('error', reject)
      .end(body);
    return promise;
  };
  return { asked, call, socketPath };
}

test('a name of any length that can be one reaches control, whatever it is made of', async (t) => {
  const { asked, call } = await start(t);
  for (const name of ['app', 'x'.repeat(128), 'ü'.repeat(128), 'x'.repeat(4000)]) {
    const { status, text: said } = await call(
      'PUT',
      `/v1/caches/main/users/${encodeURIComponent(name)}`,
      '{"enabled":true}',
    );
    assert.equal(status, 400);
    assert.deepEqual(JSON.parse(said), {
      code: 'InvalidParameterValue',
      message: 'refused by control',
    });
    assert.deepEqual(asked.pop(), ['main', name]);
  }
});

test('what is no request of the API is refused in its own shape; only the owner can ask', async (t) => {
  const { call, socketPath } = await start(t);
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  const unknown = await call('GET', '/v1/nothing?x=1');
  assert.deepEqual(
    [unknown.status, JSON.parse(unknown.text)],
    [404, { code: 'InvalidAction', message: 'there is no GET /v1/nothing' }],
  );
  const broken = await call('PUT', '/v1/caches/a/users/b', '{');
  assert.deepEqual(
    [broken.status, JSON.parse(broken.text)],
    [400, { code: 'InvalidParameterValue', message: 'the body is not valid JSON' }],
  );
  const field = await call('PUT', '/v1/caches/a/users/b', '{"enabled":"yes"}');
  assert.equal(field.status, 400);
  assert.match((JSON.parse(field.text) as { message: string }).message, /^enabled: /);
});
