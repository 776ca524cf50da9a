/**
 * A way to a node on which what comes back over tracking connections is late, so that the node's other replies overtake its
 * invalidations: what is always a matter of microseconds can be seen in a test.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class SlowTracking {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async open(nodePort: number, lateMs: number): Promise<SlowTracking> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const link = new SlowTracking(server, port);
    server.on('connection', (proxy) => link.#join(proxy, nodePort, lateMs));
    return link;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #join(proxy: Socket, nodePort: number, lateMs: number): void {
    const node = connect({ port: nodePort, host: '127.0.0.1', noDelay: true });
    let tracks = false;
    proxy.on('data', (chunk: Buffer) => {
      tracks ||= chunk.includes('TRACKING');
      node.write(chunk);
    });
    node.on('data', (chunk: Buffer) => {
      if (!tracks) proxy.write(chunk);
      else setTimeout(() => proxy.writable && proxy.write(chunk), lateMs);
    });
    for (const [socket, other] of [
      [proxy, node],
      [node, proxy],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
