import assert from 'node:assert/strict';
import { createServer, connect as connectPlain } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { TLSSocket, connect, createSecureContext } from 'node:tls';
import 'reflect-metadata';
import { BasicConstraintsExtension, X509CertificateGenerator } from '@peculiar/x509';
import { ReadBuffer } from './read-buffer.ts';

test('a TLS socket of this runtime reads into the given buffer, what came with the handshake included', async () => {
  const { cert, key } = await certificate();
  const read = new ReadBuffer();
  const received: Buffer[] = [];
  let adopted = false;
  let events = 0;
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: createSecureContext({ cert, key }),
    });
    secured.on('error', () => {});
    secured.once('secure', () => {
      adopted = read.adoptTls(secured, (length) => {
        received.push(Buffer.from(read.bytes.subarray(0, length)));
        return true;
      });
      const early = secured.read() as Buffer | null;
      if (early !== null) received.push(early);
      secured.resume();
      secured.on('data', () => events++);
      secured.on('end', () => secured.end('done'));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const client = connect({ socket: connectPlain(port, '127.0.0.1'), rejectUnauthorized: false });
  const sent = Buffer.alloc(300_000, 'abcdefg');
  client.write('first');
  client.write(sent);
  client.end();
  const [answer] = (await once(client, 'data')) as [Buffer];
  server.close();
  assert.equal(answer.toString(), 'done');
  assert.ok(
    adopted,
    'the runtime no longer has the buffer that TlsSocket reads into; TLS falls back to the slow way',
  );
  assert.equal(events, 0);
  assert.ok(Buffer.concat(received).equals(Buffer.concat([Buffer.from('first'), sent])));
});

async function certificate(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as {
    publicKey: CryptoKey;
    privateKey: CryptoKey;
  };
  const made = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=test',
    keys,
    signingAlgorithm: algorithm,
    extensions: [new BasicConstraintsExtension(false)],
  });
  const exported = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString(
    'base64',
  );
  return {
    cert: made.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${exported}\n-----END PRIVATE KEY-----\n`,
  };
}
