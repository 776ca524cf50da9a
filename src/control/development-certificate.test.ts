import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { ensureDevelopmentCertificate } from './development-certificate.ts';

const dir = mkdtempSync(join(tmpdir(), 'springtide-tls-'));
after(() => rmSync(dir, { recursive: true }));

/** Connects as a client that trusts only this directory's authority. */
async function handshake(servername: string): Promise<boolean> {
  const server = createServer({
    cert: readFileSync(join(dir, 'server.crt')),
    key: readFileSync(join(dir, 'server.key')),
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const ca = readFileSync(join(dir, 'ca.crt'));
  const client = connect({ host: '127.0.0.1', port, servername, ca });
  const trusted = await Promise.race([
    once(client, 'secureConnect').then(() => true),
    once(client, 'error').then(() => false),
  ]).catch(() => false);
  (client as TLSSocket).destroy();
  server.close();
  return trusted;
}

test('made once, trusted through its authority, made anew for a new name under the same authority', async () => {
  const paths = await ensureDevelopmentCertificate(dir, ['127.0.0.1']);
  const [authority, first] = [join(dir, 'ca.crt'), paths.certFile].map((f) =>
    readFileSync(f, 'utf8'),
  );
  for (const secret of ['ca.key', 'server.key']) {
    assert.equal(statSync(join(dir, secret)).mode & 0o777, 0o600);
  }
  assert.ok(await handshake('localhost'));
  assert.ok(!(await handshake('cache.example')));

  await ensureDevelopmentCertificate(dir, ['::1', '0.0.0.0']);
  assert.equal(readFileSync(paths.certFile, 'utf8'), first);

  await ensureDevelopmentCertificate(dir, ['cache.example']);
  assert.notEqual(readFileSync(paths.certFile, 'utf8'), first);
  assert.equal(readFileSync(join(dir, 'ca.crt'), 'utf8'), authority);
  assert.ok(await handshake('cache.example'));
  assert.ok(await handshake('localhost'));
});
