import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { suite, test } from 'node:test';
import { Ports } from './ports.ts';

async function listenSomewhere() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as { port: number }).port };
}

suite('Ports', () => {
  test('two of them never give the same pair, even when they walk in step', async () => {
    using cleanup = new DisposableStack();
    const [a, b] = [new Ports(() => 0.5), new Ports(() => 0.5)];
    cleanup.defer(() => a.close());
    cleanup.defer(() => b.close());
    const pairs = await Promise.all(
      [a, b, a, b, a, b].map((ports, i) => (i < 2 ? ports.nodePair() : ports.nodePair())),
    );
    const all = pairs.flatMap(({ port, busPort }) => [port, busPort]);
    assert.equal(new Set(all).size, 12);
    for (const port of all) assert.ok(port > 20_000 && port <= 32_768);
  });

  test('a port that is taken is refused by name; one that was let go may be had again', async () => {
    const { server, port } = await listenSomewhere();
    const ports = new Ports();
    const other = await listenSomewhere();
    other.server.close();
    await assert.rejects(ports.endpointPair(port, other.port, '127.0.0.1'), (error: Error) => {
      assert.match(error.message, new RegExp(`port ${port} `));
      return (error as Error & { code: string }).code === 'PortInUse';
    });
    server.close();
    await once(server, 'close');
    assert.deepEqual(await ports.endpointPair(port, other.port, '127.0.0.1'), {
      port,
      readerPort: other.port,
    });
    await assert.rejects(ports.endpointPair(port, 0, '127.0.0.1'));
    ports.close();
  });

  test("an address that is not this machine's is refused by name, not as a lack of ports", async () => {
    const ports = new Ports();
    for (const bind of ['192.0.2.1', 'no-such-host.invalid']) {
      for (const port of [0, 20_501]) {
        await assert.rejects(ports.endpointPair(port, 0, bind), {
          code: 'InvalidParameterValue',
          message: new RegExp(`^this machine cannot listen on ${bind} \\(E`),
        });
      }
    }
    ports.close();
  });

  test('a port whose reader is taken is not kept', async () => {
    const { server, port: reader } = await listenSomewhere();
    const { server: free, port } = await listenSomewhere();
    free.close();
    await once(free, 'close');
    const ports = new Ports();
    await assert.rejects(ports.endpointPair(port, reader, '127.0.0.1'), {
      code: 'PortInUse',
    });
    server.close();
    await once(server, 'close');
    assert.equal((await ports.endpointPair(port, reader, '127.0.0.1')).port, port);
    ports.close();
  });

  test('a free pair is chosen from 6379 up, the reader beside it', async () => {
    const ports = new Ports();
    const first = await ports.endpointPair(0, 0, '127.0.0.1');
    const second = await ports.endpointPair(0, 0, '127.0.0.1');
    assert.ok(first.port >= 6379 && second.port > first.port);
    assert.equal(first.readerPort, first.port + 1);
    ports.close();
  });

  test('what another Springtide reserved counts as taken', async () => {
    const mine = new Ports();
    const theirs = new Ports();
    const pair = await theirs.nodePair();
    await assert.rejects(mine.endpointPair(pair.port, 0, '127.0.0.1'));
    theirs.close();
    mine.close();
  });
});
