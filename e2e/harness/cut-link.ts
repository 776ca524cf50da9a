/**
 * The network between a proxy and a node, in the hands of a test: it can be stopped in one direction and then cut, so that
 * what was under way at the cut is known: requests that the node never got, or executed ones whose replies were lost.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Which bytes no longer pass. */
export type Held = 'requests' | 'replies';

interface Pair {
  readonly proxy: Socket;
  readonly node: Socket;
  /** What was stopped on its way, by direction. */
  readonly waiting: Record<Held, Buffer[]>;
}

export class CutLink {
  readonly #server: Server;
  readonly #nodePort: number;
  readonly #pairs = new Set<Pair>();
  #held: Held | null = null;

  private constructor(server: Server, nodePort: number) {
    this.#server = server;
    this.#nodePort = nodePort;
  }

  /** Passes what comes to `port` on to a node. */
  static async open(port: number, nodePort: number): Promise<CutLink> {
    const server = createServer({ noDelay: true });
    const link = new CutLink(server, nodePort);
    server.on('connection', (socket) => link.#join(socket));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return link;
  }

  /** From now on these bytes stay here. */
  hold(held: Held): void {
    this.#held = held;
  }

  /** How many connections have something that waits. */
  get waiting(): number {
    return this.#held === null ? 0 : [...this.#pairs].filter((pair) => this.#waits(pair)).length;
  }

  /**
   * Breaks all connections; new ones pass everything.
   *
   * @param share how much of what waits is let through before, 0 to 1: a reply may end in its middle
   * @returns how many connections were broken
   */
  async cut(share: number): Promise<number> {
    const held = this.#held;
    this.#held = null;
    const pairs = [...this.#pairs];
    this.#pairs.clear();
    for (const pair of pairs) {
      const { proxy, node, waiting } = pair;
      if (held !== null) {
        const bytes = Buffer.concat(waiting[held]);
        const part = bytes.subarray(0, Math.floor(bytes.length * share));
        await new Promise((done) => (held === 'replies' ? proxy : node).write(part, done));
      }
      proxy.destroy();
      node.destroy();
    }
    return pairs.length;
  }

  close(): void {
    for (const { proxy, node } of this.#pairs) {
      proxy.destroy();
      node.destroy();
    }
    this.#server.close();
  }

  #join(proxy: Socket): void {
    const node = connect({ port: this.#nodePort, host: '127.0.0.1', noDelay: true });
    const pair: Pair = { proxy, node, waiting: { requests: [], replies: [] } };
    this.#pairs.add(pair);
    this.#pass(pair, 'requests', proxy, node);
    this.#pass(pair, 'replies', node, proxy);
  }

  #pass(pair: Pair, direction: Held, from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (this.#held === direction && this.#pairs.has(pair)) pair.waiting[direction].push(chunk);
      else if (!to.destroyed) to.write(chunk);
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#pairs.delete(pair);
      to.destroy();
    });
  }

  #waits({ waiting }: Pair): boolean {
    return waiting[this.#held!].length > 0;
  }
}
