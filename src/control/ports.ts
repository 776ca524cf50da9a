/**
 * Chooses TCP ports for nodes and endpoints, and keeps two Springtides on one machine apart.
 *
 * A port is free when nothing listens on it (tried by binding it without address sharing, so that a proxy's shared
 * listener counts as taken) and no other Springtide has reserved it. A reservation is a listening abstract unix socket
 * named after the port: the kernel drops it with the process, so none is ever left over. It matters for endpoints most:
 * proxies listen with SO_REUSEPORT, and two daemons that chose the same port would share its clients in silence.
 */
import { createServer, type Server } from 'node:net';
import { readFileSync } from 'node:fs';
import { portTaken } from '../engine/port-check.ts';
import { ControlError } from './control-error.ts';

/** Node ports: above 20000, away from well-known services, and below the kernel's range for outgoing connections. */
const NODE_PORT_FIRST = 21_000;
const NODE_PORT_LAST_DEFAULT = 32_000;
/** Endpoint pairs begin at the protocol's own port: 6379 and the reader on 6380, as AWS has them. */
const ENDPOINT_PORT_FIRST = 6_379;

export class Ports {
  readonly #reservations = new Map<number, Server>();
  /** Where to look next; a random start keeps two daemons from walking in step. */
  #cursor: number;
  readonly #nodePortLast: number;

  constructor(random: () => number = Math.random) {
    this.#nodePortLast = Math.min(NODE_PORT_LAST_DEFAULT, ephemeralFirst() - 1);
    const span = Math.max(2, this.#nodePortLast - NODE_PORT_FIRST);
    this.#cursor = NODE_PORT_FIRST + 2 * Math.floor((random() * span) / 2);
  }

  /**
   * A free pair for a node: its port and its cluster bus port, both reserved. No two nodes of a data directory have the
   * same, whatever their hosts.
   *
   * @param address where the node listens
   */
  async nodePair(address = '127.0.0.1'): Promise<{ port: number; busPort: number }> {
    for (let tries = 0; tries < 6_000; tries++) {
      const port = this.#cursor;
      this.#cursor = port + 3 > this.#nodePortLast ? NODE_PORT_FIRST : port + 2;
      if (await this.#take([port, port + 1], [address])) return { port, busPort: port + 1 };
    }
    throw new ControlError(
      'ServiceUnavailable',
      `no two free ports in a row between ${NODE_PORT_FIRST} and ${this.#nodePortLast}`,
    );
  }

  /**
   * The ports of a new endpoint. 0 = choose: for both, the first free pair from 6379 up; for the reader alone, port + 1.
   *
   * @throws ControlError PortInUse when a port that was asked for is taken, InvalidParameterValue when it can be none, or the address is not this machine's
   */
  async endpointPair(
    port: number,
    readerPort: number,
    bind: string,
  ): Promise<{ port: number; readerPort: number }> {
    // Else an address that cannot be listened on would look like thousands of taken ports, each asked of the resolver.
    await refuseForeignAddress(bind);
    if (port === 0) {
      for (let first = ENDPOINT_PORT_FIRST; first < 20_000; first += 2) {
        const reader = readerPort === 0 ? first + 1 : readerPort;
        if (first !== reader && (await this.#take([first, reader], [bind]))) {
          return { port: first, readerPort: reader };
        }
      }
      throw new ControlError('ServiceUnavailable', 'no free pair of ports from 6379 up');
    }
    const reader = readerPort === 0 ? port + 1 : readerPort;
    for (const wanted of [port, reader]) {
      if (wanted > 65_535) {
        this.release([port]);
        throw new ControlError(
          'InvalidParameterValue',
          `the reader's port would be ${wanted}: choose one up to 65535 with readerPort`,
        );
      }
      if (!(await this.#take([wanted], [bind]))) {
        if (wanted !== port) this.release([port]);
        throw new ControlError(
          'PortInUse',
          `port ${wanted} on ${bind} is in use or not permitted: choose another one, or 0 for a free one`,
        );
      }
    }
    return { port, readerPort: reader };
  }

  /** Reserves ports this daemon already owns (read from the store at start). Ports someone else reserved are left out. */
  async adopt(ports: readonly number[]): Promise<void> {
    await Promise.all(ports.map((port) => this.#reserve(port)));
  }

  release(ports: readonly number[]): void {
    for (const port of ports) {
      this.#reservations.get(port)?.close();
      this.#reservations.delete(port);
    }
  }

  close(): void {
    this.release([...this.#reservations.keys()]);
  }

  async #take(ports: readonly number[], binds: readonly string[]): Promise<boolean> {
    const taken: number[] = [];
    for (const port of ports) {
      const free =
        !this.#reservations.has(port) &&
        (await this.#reserve(port)) &&
        (taken.push(port),
        (await Promise.all(binds.map((bind) => portTaken(bind, port)))).every(
          (taken) => taken === null,
        ));
      if (!free) {
        this.release(taken);
        return false;
      }
    }
    return true;
  }

  async #reserve(port: number): Promise<boolean> {
    if (this.#reservations.has(port)) return true;
    const server = createServer((socket) => socket.destroy());
    const ok = await listens(server, { path: `\0springtide-port-${port}` });
    if (ok) {
      server.unref();
      this.#reservations.set(port, server);
    }
    return ok;
  }
}

/** Tries any free port of `bind`. */
async function refuseForeignAddress(bind: string): Promise<void> {
  const server = createServer();
  const failure = await listenFailure(server, { port: 0, host: bind });
  if (failure === null) {
    await new Promise<void>((resolve) => server.close(() => resolve()));
    return;
  }
  throw new ControlError(
    'InvalidParameterValue',
    `this machine cannot listen on ${bind} (${failure.code ?? failure.message})`,
    { cause: failure },
  );
}

async function listens(server: Server, where: object): Promise<boolean> {
  return (await listenFailure(server, where)) === null;
}

function listenFailure(server: Server, where: object): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(where, () => resolve(null));
  });
}

/** First port the kernel hands out to outgoing connections: a node port in that range may be gone when it is needed. */
function ephemeralFirst(): number {
  try {
    const first = Number(
      readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0],
    );
    return first > NODE_PORT_FIRST + 1_000 ? first : NODE_PORT_LAST_DEFAULT;
  } catch {
    return NODE_PORT_LAST_DEFAULT;
  }
}
