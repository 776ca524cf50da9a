/**
 * Control's end of the plane link: a unix socket on which proxies find their topology (model/plane-link.ts).
 *
 * A peer harms nothing: lines are bounded and checked by a schema, a peer that does not read is sent only the newest
 * topology once it does, and is cut when even that piles up. Proxies need this link for nothing per request.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { chmodSync, rmSync } from 'node:fs';
import type { Logger } from 'pino';
import type { ProxyUsage } from '../model/usage.ts';
import type { SlotHeatReport } from '../model/heat.ts';
import { parseProxyMessage } from './proxy-message.ts';
import type { ControlToProxy } from '../model/plane-link.ts';
import type { Topology } from '../model/topology.ts';

/** A usage of 500 nodes and dozens of caches is below 1 MB. */
const LINE_MAX_BYTES = 8 * 1024 ** 2;
const WAITING_MAX_BYTES = 64 * 1024 ** 2;

/** What a linked proxy said last. */
export interface LinkedProxy {
  readonly index: number;
  readonly pid: number;
  /** Newest topology version whose ports it listens on; 0 before its first word. */
  readonly servingVersion: number;
  /** Caches it could not listen for, and why. */
  readonly failures: Readonly<Record<string, string>>;
  /** Caches of which a node that leaves still owes it replies. */
  readonly leaving: readonly string[];
}

export interface PlaneLinkHandlers {
  topology(): Topology;
  onUsage(usage: ProxyUsage): void;
  /** What a proxy counted by slot. */
  onHeat(proxy: LinkedProxy, report: SlotHeatReport): void;
  onServing(proxy: LinkedProxy): void;
  onNodeLost(cache: string, nodeId: string): void;
  /** The link of a proxy closed: it may have died. */
  onUnlinked(index: number): void;
}

interface Peer {
  readonly socket: Socket;
  proxy: LinkedProxy | null;
  sentVersion: number;
}

export class PlaneLinkServer {
  readonly #path: string;
  readonly #handlers: PlaneLinkHandlers;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #peers = new Set<Peer>();

  constructor(path: string, handlers: PlaneLinkHandlers, log: Logger) {
    this.#path = path;
    this.#handlers = handlers;
    this.#log = log;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** The data directory's lock is held, so a socket file that is there is a dead daemon's. */
  async listen(): Promise<void> {
    rmSync(this.#path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, resolve);
    });
    chmodSync(this.#path, 0o600);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const peer of this.#peers) peer.socket.destroy();
    await closed;
  }

  /** Sends the current topology to every proxy that does not have it. */
  publish(): void {
    const topology = this.#handlers.topology();
    const line = encode({ type: 'topology', topology });
    for (const peer of this.#peers) this.#sendTopology(peer, topology.version, line);
  }

  refresh(cache: string): void {
    this.#broadcast({ type: 'refresh', cache });
  }

  drain(graceMs: number): void {
    this.#broadcast({ type: 'drain', graceMs });
  }

  /** Says which slots' keys are to be watched. */
  watchSlots(cache: string, slots: readonly number[]): void {
    this.#broadcast({ type: 'watch-slots', cache, slots });
  }

  /** Tells one proxy its part of the cache's request limit. */
  ecpuShare(index: number, cache: string, perSecond: number): void {
    for (const peer of this.#peers) {
      if (peer.proxy?.index === index)
        this.#send(peer, encode({ type: 'ecpu-share', cache, perSecond }));
    }
  }

  /** Asks one proxy to drain and end. */
  drainOne(index: number, graceMs: number): void {
    for (const peer of this.#peers) {
      if (peer.proxy?.index === index) this.#send(peer, encode({ type: 'drain', graceMs }));
    }
  }

  proxies(): LinkedProxy[] {
    return [...this.#peers].flatMap((peer) => (peer.proxy === null ? [] : [peer.proxy]));
  }

  #broadcast(message: ControlToProxy): void {
    const line = encode(message);
    for (const peer of this.#peers) if (peer.proxy !== null) this.#send(peer, line);
  }

  #sendTopology(peer: Peer, version: number, line: string): void {
    // Before its hello it is nobody; while its socket is full only the newest matters, sent on drain.
    if (peer.proxy === null || peer.sentVersion >= version || peer.socket.writableNeedDrain) return;
    peer.sentVersion = version;
    this.#send(peer, line);
  }

  #send(peer: Peer, line: string): void {
    if (peer.socket.writableLength > WAITING_MAX_BYTES) {
      this.#log.warn({ proxy: peer.proxy?.index }, 'proxy does not read its link; cut');
      peer.socket.destroy();
      return;
    }
    peer.socket.write(line);
  }

  #accept(socket: Socket): void {
    const peer: Peer = { socket, proxy: null, sentVersion: 0 };
    this.#peers.add(peer);
    let waiting: Buffer[] = [];
    let waitingBytes = 0;
    socket.on('data', (chunk: Buffer) => {
      let rest = chunk;
      for (;;) {
        const end = rest.indexOf(10);
        if (end < 0) break;
        const line = Buffer.concat([...waiting, rest.subarray(0, end)]).toString('utf8');
        waiting = [];
        waitingBytes = 0;
        rest = rest.subarray(end + 1);
        if (line !== '' && !this.#receive(peer, line)) return;
      }
      if (rest.length > 0) waiting.push(rest);
      waitingBytes += rest.length;
      if (waitingBytes > LINE_MAX_BYTES) {
        this.#log.warn({ proxy: peer.proxy?.index }, 'line on the plane link is too long; cut');
        socket.destroy();
      }
    });
    socket.on('drain', () => this.publish());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#peers.delete(peer);
      if (peer.proxy !== null) this.#handlers.onUnlinked(peer.proxy.index);
    });
  }

  /** Returns false when the peer was cut. */
  #receive(peer: Peer, line: string): boolean {
    const message = parseProxyMessage(line);
    if (message === null) {
      this.#log.warn({ proxy: peer.proxy?.index }, 'a line on the plane link makes no sense; cut');
      peer.socket.destroy();
      return false;
    }
    if (message.type === 'hello') {
      peer.proxy = {
        index: message.proxy,
        pid: message.pid,
        servingVersion: 0,
        failures: {},
        leaving: [],
      };
      const topology = this.#handlers.topology();
      this.#sendTopology(peer, topology.version, encode({ type: 'topology', topology }));
      return true;
    }
    if (peer.proxy === null) return true;
    if (message.type === 'serving') {
      peer.proxy = {
        ...peer.proxy,
        servingVersion: message.version,
        failures: message.failures,
        leaving: message.leaving,
      };
      this.#handlers.onServing(peer.proxy);
    } else if (message.type === 'usage') {
      this.#handlers.onUsage(message.usage);
    } else if (message.type === 'heat') {
      const { cacheId, sequence } = message.report;
      this.#handlers.onHeat(peer.proxy, message.report);
      this.#send(peer, encode({ type: 'heat-taken', cacheId, sequence }));
    } else {
      this.#handlers.onNodeLost(message.cache, message.nodeId);
    }
    return true;
  }
}

function encode(message: ControlToProxy): string {
  return `${JSON.stringify(message)}\n`;
}
