/**
 * Proxies of one machine ask each other about their clients (PUBSUB NUMSUB and the like): JSON lines over unix sockets, one
 * request, one response. A peer that is not there or does not answer in time is left out; nothing that a client needs to be
 * served depends on it.
 */
import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { messageOf } from '../../lib/errors.ts';

/** What one proxy of a cache asks the others. */
export interface Peers {
  /** The answers of those that gave one. `body` and the answers are JSON values. */
  ask(op: string, cache: string, body: unknown): Promise<unknown[]>;
}

/** For a proxy that is alone. */
export const NO_PEERS: Peers = { ask: () => Promise.resolve([]) };

export interface PeerLinkOptions {
  readonly index: number;
  /** Proxies of the machine, this one included. */
  readonly proxies: number;
  readonly socketPath: (index: number) => string;
  /** Answers another proxy's question; what it throws is "no answer". */
  readonly answer: (op: string, cache: string, body: unknown) => unknown;
  readonly log: Logger;
}

const TIMEOUT_MS = 250;
/** Questions that may wait for one peer. */
const WAITING_MAXIMUM = 1000;
/** A peer that does not read its answers is not one. */
const BACKLOG_MAXIMUM_BYTES = 32 * 1024 * 1024;
/** Characters of one line: the counts of some hundred thousand channels. */
const LINE_MAXIMUM = 64 * 1024 * 1024;
/** Longest path of a unix socket (sun_path). */
const PATH_MAXIMUM_BYTES = 107;

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

interface Peer {
  readonly socket: Socket;
  readonly waiting: Map<number, Waiting>;
}

export class PeerLink implements Peers {
  readonly #options: PeerLinkOptions;
  readonly #server: Server;
  readonly #peers = new Map<number, Peer>();
  readonly #incoming = new Set<Socket>();
  #lastId = 0;
  #closed = false;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.on('error', (error) =>
      options.log.warn({ err: error.message }, 'proxies cannot ask this one'),
    );
    const path = options.socketPath(options.index);
    if (Buffer.byteLength(path) > PATH_MAXIMUM_BYTES) {
      options.log.warn(
        { path },
        'the data directory is too deep for a socket: other proxies cannot ask this one',
      );
      return;
    }
    // What a killed predecessor has left.
    rmSync(path, { force: true });
    this.#server.listen(path);
    this.#server.unref();
  }

  async ask(op: string, cache: string, body: unknown): Promise<unknown[]> {
    const others = Array.from({ length: this.#options.proxies }, (_, i) => i).filter(
      (i) => i !== this.#options.index,
    );
    const answers = await Promise.all(
      others.map((index) => this.#askOne(index, { op, cache, body })),
    );
    return answers.filter((answer) => answer !== NOTHING);
  }

  close(): void {
    this.#closed = true;
    this.#server.close();
    for (const socket of this.#incoming) socket.destroy();
    for (const { socket } of this.#peers.values()) socket.destroy();
  }

  #askOne(index: number, question: Omit<PeerRequest, 'id'>): Promise<unknown> {
    if (this.#closed) return Promise.resolve(NOTHING);
    const peer = this.#peers.get(index) ?? this.#connect(index);
    if (peer.waiting.size >= WAITING_MAXIMUM) return Promise.resolve(NOTHING);
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        peer.waiting.delete(id);
        resolve(NOTHING);
      }, TIMEOUT_MS);
      peer.waiting.set(id, { resolve, timer });
      peer.socket.write(`${JSON.stringify({ id, ...question } satisfies PeerRequest)}\n`);
    });
  }

  #connect(index: number): Peer {
    const socket = connect({ path: this.#options.socketPath(index) });
    const peer: Peer = { socket, waiting: new Map() };
    this.#peers.set(index, peer);
    socket.unref();
    socket.on('error', (error) =>
      this.#options.log.debug({ peer: index, err: error.message }, 'peer link'),
    );
    socket.on('close', () => {
      if (this.#peers.get(index) === peer) this.#peers.delete(index);
      for (const { resolve, timer } of peer.waiting.values()) {
        clearTimeout(timer);
        resolve(NOTHING);
      }
      peer.waiting.clear();
    });
    onLines(socket, (line) => {
      const response = JSON.parse(line) as PeerResponse;
      const waiting = peer.waiting.get(response.id);
      if (waiting === undefined) return;
      peer.waiting.delete(response.id);
      clearTimeout(waiting.timer);
      waiting.resolve(response.error === undefined ? response.body : NOTHING);
    });
    return peer;
  }

  #serve(socket: Socket): void {
    this.#incoming.add(socket);
    socket.unref();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#incoming.delete(socket));
    onLines(socket, (line) => {
      const request = JSON.parse(line) as PeerRequest;
      socket.write(`${JSON.stringify(this.#respond(request))}\n`);
      if (socket.writableLength > BACKLOG_MAXIMUM_BYTES) socket.destroy();
    });
  }

  #respond({ id, op, cache, body }: PeerRequest): PeerResponse {
    try {
      return { id, body: this.#options.answer(op, cache, body) ?? null };
    } catch (error) {
      return { id, error: messageOf(error) };
    }
  }
}

interface PeerRequest {
  readonly id: number;
  readonly op: string;
  readonly cache: string;
  readonly body: unknown;
}

interface PeerResponse {
  readonly id: number;
  readonly body?: unknown;
  readonly error?: string;
}

const NOTHING: unique symbol = Symbol('no answer');

/** Calls back for each line; a connection that sends one that is not JSON, or has no end, is closed. */
function onLines(socket: Socket, onLine: (line: string) => void): void {
  let parts: string[] = [];
  let length = 0;
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = text.split('\n');
    const rest = lines.pop()!;
    try {
      for (const line of lines) {
        onLine([...parts, line].join(''));
        parts = [];
        length = 0;
      }
    } catch (error) {
      socket.destroy(error as Error);
      return;
    }
    parts.push(rest);
    length += rest.length;
    if (length > LINE_MAXIMUM) socket.destroy(new Error('a line without an end'));
  });
}
