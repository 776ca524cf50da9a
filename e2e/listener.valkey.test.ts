/** Who takes a place among the connections of a cache, and who gives it back. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { ProxiedCache } from './harness/proxied-cache.ts';
import { until } from './harness/until.ts';
import { ensureDevelopmentCertificate } from '../src/control/development-certificate.ts';

const CONNECTIONS = 8;
/** Begins a TLS handshake whose first message never ends. */
const HALF_HANDSHAKE = Buffer.from([0x16, 3, 1, 2, 0, 1]);

describe('places of a port for TLS and plain clients', () => {
  let dir: string;
  let cache: ProxiedCache;
  const sockets: Socket[] = [];

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'springtide-listener-'));
    const { certFile, keyFile } = await ensureDevelopmentCertificate(dir, ['127.0.0.1']);
    cache = await ProxiedCache.start({
      shards: 1,
      limits: { connectionsMaximum: CONNECTIONS },
      tls: { mode: 'preferred', certFile, keyFile },
    });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await isServed();
  });
  after(async () => {
    await cache.close();
    rmSync(dir, { recursive: true });
  });

  async function open(first: Buffer | null): Promise<Socket> {
    const socket = connect({ port: cache.cache.port, host: '127.0.0.1', allowHalfOpen: true });
    sockets.push(socket);
    socket.on('error', () => socket.destroy());
    socket.on('data', () => {});
    socket.once('end', () => socket.destroy());
    await once(socket, 'connect');
    if (first !== null) socket.write(first);
    return socket;
  }

  /** Until there is a place again. */
  async function isServed(): Promise<void> {
    await until(async () => {
      const client = await cache.client();
      const reply = await client.raw('PING').catch(() => null);
      client.close();
      return reply?.toString() === '+PONG\r\n';
    });
  }

  for (const [what, first] of [
    ['say nothing', null],
    ['never end their handshake', HALF_HANDSHAKE],
  ] as const) {
    it(`clients that ${what} have no more places than others`, async () => {
      for (let i = 0; i < 3 * CONNECTIONS; i++) await open(first);
      const left = () => sockets.filter((socket) => !socket.destroyed).length;
      await until(() => left() <= CONNECTIONS);
      assert.ok(left() > 0);
    });

    it(`clients that ${what} and go give their place back at once`, async () => {
      for (let i = 0; i < CONNECTIONS; i++) await open(first);
      for (const socket of sockets) socket.end();
      await until(() => sockets.every((socket) => socket.destroyed), 5000);
    });
  }

  it('a client that was refused is not waited for', async () => {
    for (let i = 0; i < CONNECTIONS; i++) await open(Buffer.from('PING\r\n'));
    await until(async () => {
      const client = await cache.client().catch(() => null);
      const reply = await client?.raw('PING').catch(() => null);
      client?.close();
      return reply?.toString() !== '+PONG\r\n';
    });
    const refused = connect({ port: cache.cache.port, host: '127.0.0.1', allowHalfOpen: true });
    sockets.push(refused);
    refused.on('error', () => refused.destroy());
    refused.resume();
    // Its own side stays open: that the other one is closed shows when it writes.
    await until(() => {
      refused.write('PING\r\n');
      return refused.destroyed;
    }, 5000);
  });
});
