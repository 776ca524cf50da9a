/**
 * The ports of one cache: the endpoint and the reader endpoint, shared with the other proxies of the machine
 * (`reusePort`). Plain, TLS, or both on one port, told apart by the first byte that a client sends.
 */
import { createServer, Socket, type Server } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { TopologyCache } from '../../model/topology.ts';
import type { CacheService } from '../cache-service.ts';
import { newClientState } from '../client-state.ts';
import { errorReply } from '../proxy-error.ts';
import { Session } from '../session.ts';
import type { TlsContext } from './tls-context.ts';

/** First byte of a TLS record that begins a handshake. RESP and inline commands never begin with it. */
const TLS_HANDSHAKE = 0x16;
/** A connection that has not said anything in this time on a port that takes both is not kept. */
const FIRST_BYTE_MS = 60_000;
/** A TLS handshake that takes longer is not one of a client. */
const HANDSHAKE_MS = 10_000;
/** A client that was refused may take this long to close its side. */
const LINGER_MS = 1000;
const REFUSED_MAXIMUM = 256;
const BACKLOG = 1024;

const TOO_MANY_CLIENTS = errorReply('ERR max number of clients reached');

export class CacheListener {
  readonly #service: CacheService;
  readonly #ids: () => number;
  readonly #log: Logger;
  readonly #tls: TlsContext | null;
  readonly #servers: (Server | TlsServer)[] = [];
  /** Proxies that share the limit of connections. */
  readonly #proxies: number;
  readonly #hasRoom: () => boolean;
  /** Connections that are no session yet, or were refused and are not closed: they take a place as well. */
  readonly #opening = new Set<Socket>();

  /** @param hasRoom may the process take another connection, whichever cache it is for? */
  constructor(
    service: CacheService,
    ids: () => number,
    tls: TlsContext | null,
    proxies: number,
    hasRoom: () => boolean,
    log: Logger,
  ) {
    this.#service = service;
    this.#ids = ids;
    this.#tls = tls;
    this.#proxies = proxies;
    this.#hasRoom = hasRoom;
    this.#log = log;
  }

  /** Connections that are no session. */
  get opening(): number {
    return this.#opening.size;
  }

  /** Resolves when both ports are open; rejects with the system's error (EADDRINUSE ...) when one cannot be. */
  async open(cache: TopologyCache): Promise<void> {
    try {
      await this.#listen(cache, cache.port, false);
      await this.#listen(cache, cache.readerPort, true);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** No new connections; those that are there stay. */
  async close(): Promise<void> {
    const servers = this.#servers.splice(0);
    await Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            // close() waits for connections; they belong to the service, not to the port.
            resolve();
          }),
      ),
    );
  }

  #listen(cache: TopologyCache, port: number, reader: boolean): Promise<void> {
    const plain = createServer(
      { noDelay: true, keepAlive: true, allowHalfOpen: true, pauseOnConnect: true },
      (socket) => this.#accept(socket, reader),
    );
    this.#servers.push(plain);
    return new Promise((resolve, reject) => {
      plain.once('error', reject);
      plain.listen({ port, host: cache.bind, reusePort: true, backlog: BACKLOG }, () => {
        plain.off('error', reject);
        plain.on('error', (error) =>
          this.#log.error({ err: error, port }, 'listening socket failed'),
        );
        resolve();
      });
    });
  }

  #accept(socket: Socket, reader: boolean): void {
    const tls = this.#tls;
    if (tls === null) {
      this.#beginPlain(socket, reader, null);
      return;
    }
    if (this.#isFull(this.#opening.size)) {
      this.#service.router.meter.connectionsRefused++;
      socket.destroy();
      return;
    }
    this.#opening.add(socket);
    socket.once('close', () => this.#opening.delete(socket));
    if (tls.mode === 'required') this.#secure(socket, reader, tls);
    else this.#tell(socket, reader, tls);
  }

  /** Waits for the first byte, which says whether this is TLS. */
  #tell(socket: Socket, reader: boolean, tls: TlsContext): void {
    const onEnd = () => socket.destroy();
    socket.setTimeout(FIRST_BYTE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.once('end', onEnd);
    socket.once('data', (chunk: Buffer) => {
      socket.setTimeout(0);
      socket.off('end', onEnd);
      socket.pause();
      if (chunk[0] === TLS_HANDSHAKE) {
        socket.unshift(chunk);
        this.#secure(socket, reader, tls);
      } else {
        this.#beginPlain(socket, reader, chunk);
      }
    });
    socket.resume();
  }

  #secure(socket: Socket, reader: boolean, tls: TlsContext): void {
    const secured = tls.wrap(socket);
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    const onEnd = () => socket.destroy();
    secured.once('end', onEnd);
    secured.once('secure', () => {
      clearTimeout(timer);
      secured.off('end', onEnd);
      this.#opening.delete(socket);
      const session = this.#begin(secured, reader);
      if (session !== null) this.#read(secured, session);
    });
    secured.on('error', (error) => {
      clearTimeout(timer);
      this.#log.debug({ err: error.message }, 'TLS handshake failed');
      socket.destroy();
    });
    secured.once('close', () => clearTimeout(timer));
  }

  #read(secured: TLSSocket, session: Session): void {
    const { read } = this.#service.router;
    const adopted = read.adoptTls(secured, (length) => {
      session.onData(read.bytes, length);
      return true;
    });
    // What came with the end of the handshake, before anybody could read.
    const early = secured.read() as Buffer | null;
    if (early !== null) session.onData(early, early.length);
    if (adopted) secured.resume();
    else secured.on('data', (chunk: Buffer) => session.onData(chunk, chunk.length));
  }

  /**
   * A plain connection reads into the process's one buffer. A server cannot be told to make its sockets so (`onread` is an
   * option of the socket), so the accepted handle gets a socket that is.
   */
  #beginPlain(accepted: Socket, reader: boolean, first: Buffer | null): void {
    const holder = accepted as unknown as { _handle: object | null };
    const handle = holder._handle;
    this.#opening.delete(accepted);
    if (handle === null) return; // gone already
    holder._handle = null;
    let session: Session | null = null;
    const { bytes } = this.#service.router.read;
    const options: SocketOptions = {
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: bytes,
        callback: (length) => {
          session?.onData(bytes, length);
          return true;
        },
      },
    };
    const socket = new Socket(options as ConstructorParameters<typeof Socket>[0]);
    session = this.#begin(socket, reader);
    if (first !== null) session?.onData(first, first.length);
    socket.resume();
  }

  #begin(socket: Socket, reader: boolean): Session | null {
    const service = this.#service;
    const { meter } = service.router;
    if (this.#isFull(0)) {
      meter.connectionsRefused++;
      socket.on('error', () => socket.destroy());
      socket.end(TOO_MANY_CLIENTS);
      // Very many at once go without a word.
      setTimeout(
        () => socket.destroy(),
        this.#opening.size < REFUSED_MAXIMUM ? LINGER_MS : 0,
      ).unref();
      this.#opening.add(socket);
      socket.once('close', () => this.#opening.delete(socket));
      return null;
    }
    meter.connections++;
    meter.connectionsTotal++;
    const session = new Session(service, socket, this.#ids(), reader, newClientState());
    service.sessions.set(session.id, session);
    service.login.begin(session);
    return session;
  }

  /** Has this proxy as many connections as it may, `others` counted as well? */
  #isFull(others: number): boolean {
    const { cache, router } = this.#service;
    // Each proxy takes its share; connections spread evenly enough over the listening sockets of one port.
    const maximum = Math.ceil(cache.limits.connectionsMaximum / this.#proxies);
    return router.meter.connections + others >= maximum || !this.#hasRoom();
  }
}

/** `handle` is how net.Server itself makes its sockets; only the type does not know it. */
type SocketOptions = Omit<NonNullable<ConstructorParameters<typeof Socket>[0]>, 'handle'> & {
  handle: object;
};
