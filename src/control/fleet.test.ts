import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { HostedNode } from '../engine/host.ts';
import { Fleet, type FleetHandlers } from './fleet.ts';
import { storedCache } from './fixtures/stored-cache.ts';
import type { Hosts } from './hosts.ts';

test('a daemon that starts does not wait for a node that does not answer', async (t) => {
  const { store } = storedCache(t);
  // As a process that is stopped: the system takes its connections.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket.resume()));
  const silent = { nodeId: 'n0-0', hostId: 'local', host: '127.0.0.1', port, pid: 1 } as HostedNode;
  const hosts = {
    all: [{ id: 'local' }],
    list: () => Promise.resolve({ nodes: [silent], unreached: [] }),
    onNodeEnd: () => ({ [Symbol.dispose]: () => undefined }),
    activity: () => Promise.resolve([]),
  } as unknown as Hosts;
  const fleet = new Fleet(hosts, store, '', {} as FleetHandlers, pino({ enabled: false }));
  await fleet.adopt();
  t.after(() => {
    fleet.detach();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  // The first try to log in is still under way: one that was given up would show by then.
  await delay(200);
  assert.deepEqual(
    sockets.map(({ readableEnded }) => readableEnded),
    [false],
  );
  assert.equal(fleet.isAlive('n0-0'), true);
  assert.equal(fleet.observation('n0-0'), null);
  // It may have what a primary that is gone acknowledged.
  assert.equal(fleet.hasData('n0-0'), true);
});
