/**
 * One proxy process: serves every cache of the topology, keeps the last topology on disk, reports usage. It starts from
 * the file when control is not there.
 */
import { hkdfSync } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { messageOf } from '../lib/errors.ts';
import type { ControlToProxy } from '../model/plane-link.ts';
import type { Topology, TopologyCache } from '../model/topology.ts';
import type { CacheUsage, ProxyUsage } from '../model/usage.ts';
import { CacheService } from './cache-service.ts';
import { ControlLink } from './control-link.ts';
import { clientMemoryBytes } from './client-memory-limit.ts';
import { clientDescriptors } from './descriptor-limit.ts';
import { ClientMemory } from './io/client-memory.ts';
import { garbageCollection } from './io/garbage-collection.ts';
import { CacheListener } from './io/listener.ts';
import { Meter } from './meter.ts';
import { BlockPool } from './io/out-queue.ts';
import { answerPeer } from './peers/peer-answers.ts';
import { NO_PEERS, PeerLink } from './peers/peer-link.ts';
import { ReadBuffer } from './io/read-buffer.ts';
import { RequestPool } from './routing/request.ts';
import { SlotHeat } from './slot-heat.ts';
import type { SessionCommands } from './session-commands.ts';
import { TlsContext } from './io/tls-context.ts';
import { Turn } from './io/turn.ts';

export interface ProxyOptions {
  readonly index: number;
  /** Proxies of this machine: they share the limits of connections. */
  readonly proxies: number;
  readonly controlSocket: string;
  /** Where the last topology is kept (0600). */
  readonly topologyFile: string;
  /** Where the proxies of this machine ask each other, by index; absent: this one is alone. */
  readonly peerSocket?: (index: number) => string;
  /** What all clients of this process may make it hold together; absent: its share of the machine's memory. */
  readonly clientMemoryBytes?: number;
  readonly log: Logger;
}

interface ServedCache {
  readonly service: CacheService;
  listener: CacheListener;
  tls: TlsContext | null;
  /** What the listener was opened for: a change opens it anew. */
  endpointKey: string;
  /** The last report of heat, and over which link it was sent. */
  heatSent: string;
}

const USAGE_MS = 1000;
/** Ids of clients are unique over the proxies of a machine: counter * this + index. */
const PROXIES_MAXIMUM = 1024;
/** A port that is taken is tried again: its last owner may just be going. */
const LISTEN_RETRY_MS = 250;
/** While nodes that are taken out owe replies, control is told this often how it stands. */
const LEAVING_MS = 10;

export class Proxy {
  readonly #options: ProxyOptions;
  readonly #commands: SessionCommands;
  readonly #turn = new Turn();
  readonly #pool = new RequestPool();
  readonly #blocks = new BlockPool();
  readonly #read = new ReadBuffer();
  readonly #caches = new Map<string, ServedCache>();
  readonly #failures = new Map<string, string>();
  readonly #startedAtMs = Date.now();
  /** Of all caches together. */
  readonly #clientsMaximum = clientDescriptors();
  readonly #memory: ClientMemory;
  #memoryBytes = 0;
  readonly #link: ControlLink;
  readonly #peers: PeerLink | null;
  readonly #usageTimer: NodeJS.Timeout;
  #topology: Topology = { version: 0, caches: [] };
  #applying: Promise<void> = Promise.resolve();
  #servingVersion = 0;
  #lastId = 0;
  #leavingTimer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: ProxyOptions, commands: SessionCommands) {
    this.#options = options;
    this.#commands = commands;
    const { peerSocket: socketPath, index, proxies, log } = options;
    this.#memory = new ClientMemory(
      options.clientMemoryBytes ?? clientMemoryBytes(proxies),
      garbageCollection(),
      () => this.#answered(),
    );
    this.#peers =
      socketPath === undefined || proxies < 2
        ? null
        : new PeerLink({
            index,
            proxies,
            socketPath,
            log,
            answer: (...question) => this.#answerPeer(...question),
          });
    const stored = this.#readStored();
    if (stored !== null) this.#take(stored, false);
    this.#link = new ControlLink(
      options.controlSocket,
      { type: 'hello', proxy: options.index, pid: process.pid },
      (message) => this.#onControl(message),
      options.log,
    );
    this.#usageTimer = setInterval(() => this.#tell(), USAGE_MS);
  }

  /** Stops accepting, waits for requests under way (at most `graceMs`), closes. */
  async drain(graceMs: number): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#usageTimer);
    if (this.#leavingTimer !== null) clearTimeout(this.#leavingTimer);
    const served = [...this.#caches.values()];
    await Promise.all(served.map((cache) => cache.listener.close()));
    const deadline = performance.now() + graceMs;
    const busy = () =>
      served.some(({ service }) =>
        [...service.sessions.values()].some((session) => session.replies.pending > 0),
      );
    while (busy() && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10));
    for (const { service, tls } of served) {
      service.close();
      tls?.close();
    }
    this.#memory.close();
    this.#link.close();
    this.#peers?.close();
  }

  usage(): ProxyUsage {
    const cpu = process.cpuUsage();
    return {
      proxy: this.#options.index,
      pid: process.pid,
      startedAtMs: this.#startedAtMs,
      topologyVersion: this.#topology.version,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      memoryBytes: this.#readMemory(),
      caches: [...this.#caches.values()].map(({ service }) => cacheUsage(service)),
    };
  }

  #tell(): void {
    this.#link.send({ type: 'usage', usage: this.usage() });
    const nowMs = performance.now();
    for (const served of this.#caches.values()) {
      const { cache, router } = served.service;
      const report = router.heat.report(cache, nowMs);
      // Once over each link: control has it, or this link ends and the next one brings it again.
      const key = report === null ? '' : `${this.#link.number}/${report.sequence}`;
      if (report === null || key === served.heatSent) continue;
      if (this.#link.send({ type: 'heat', report })) served.heatSent = key;
    }
  }

  /** Requests, of all caches that are served now. */
  #answered(): number {
    let requests = 0;
    for (const { service } of this.#caches.values()) requests += service.router.meter.requests;
    return requests;
  }

  /** Bytes; the last that were known when they cannot be read (it takes a file), which is no reason to end. */
  #readMemory(): number {
    try {
      this.#memoryBytes = process.memoryUsage.rss();
    } catch (error) {
      this.#options.log.warn({ err: messageOf(error) }, 'could not read the memory in use');
    }
    return this.#memoryBytes;
  }

  /** Has this process files left for another client? */
  #hasRoom(): boolean {
    let clients = 0;
    for (const { service, listener } of this.#caches.values())
      clients += service.router.meter.connections + listener.opening;
    return clients < this.#clientsMaximum;
  }

  #answerPeer(op: string, cache: string, body: unknown): unknown {
    const served = this.#caches.get(cache);
    if (served === undefined) throw new TypeError(`cache ${cache} is not served here`);
    return answerPeer(served.service, op, body);
  }

  #onControl(message: ControlToProxy): void {
    switch (message.type) {
      case 'topology':
        this.#take(message.topology, true);
        break;
      case 'refresh':
        this.#caches.get(message.cache)?.service.router.refresh();
        break;
      case 'heat-taken':
        for (const { service } of this.#caches.values())
          if (service.cache.id === message.cacheId) service.router.heat.taken(message.sequence);
        break;
      case 'watch-slots':
        this.#caches.get(message.cache)?.service.router.heat.watch(message.slots);
        break;
      case 'count-heat':
        for (const { service } of this.#caches.values())
          service.router.heat.counts = message.counts;
        break;
      case 'ecpu-share':
        this.#caches.get(message.cache)?.service.router.limit.setShare(message.perSecond);
        break;
      case 'drain':
        void this.drain(message.graceMs).then(() => process.exit(0));
        break;
    }
  }

  #take(topology: Topology, store: boolean): void {
    if (topology.version <= this.#topology.version || this.#stopped) {
      this.#reportServing();
      return;
    }
    this.#topology = topology;
    if (store) this.#store(topology);
    this.#applying = this.#applying.then(() => this.#apply(topology));
  }

  async #apply(topology: Topology): Promise<void> {
    if (topology !== this.#topology) return; // a newer one is waiting
    const wanted = new Map(topology.caches.map((cache) => [cache.name, cache]));
    for (const [name, served] of this.#caches) {
      if (wanted.get(name)?.id === served.service.cache.id) continue;
      this.#caches.delete(name);
      this.#failures.delete(name);
      await served.listener.close();
      served.service.close();
      served.tls?.close();
    }
    for (const cache of topology.caches) {
      try {
        await this.#serve(cache);
        this.#failures.delete(cache.name);
      } catch (error) {
        this.#failures.set(cache.name, messageOf(error));
        this.#options.log.error({ cache: cache.name, err: error }, 'cannot serve the cache');
      }
    }
    this.#servingVersion = topology.version;
    this.#reportServing();
    if (this.#failures.size > 0) {
      setTimeout(() => {
        if (this.#stopped || topology !== this.#topology) return;
        this.#applying = this.#applying.then(() => this.#apply(topology));
      }, LISTEN_RETRY_MS);
    }
  }

  async #serve(cache: TopologyCache): Promise<void> {
    const endpointKey = JSON.stringify([cache.bind, cache.port, cache.readerPort, cache.tls]);
    let served = this.#caches.get(cache.name);
    if (served !== undefined) {
      served.service.update(cache);
      if (served.endpointKey === endpointKey) return;
      await served.listener.close();
      served.tls?.close();
    }
    const { log } = this.#options;
    if (cache.limits.connectionsMaximum / this.#options.proxies > this.#clientsMaximum) {
      log.warn(
        { cache: cache.name, clientsMaximum: this.#clientsMaximum },
        'the limit of open files leaves this process room for fewer clients than the cache may have',
      );
    }
    const tls = cache.tls === null ? null : new TlsContext(cache.tls, ticketKeys(cache), log);
    const service =
      served?.service ??
      new CacheService(
        cache,
        this.#commands,
        this.#options.index,
        {
          turn: this.#turn,
          pool: this.#pool,
          blocks: this.#blocks,
          read: this.#read,
          meter: new Meter(),
          proxies: this.#options.proxies,
          heat: new SlotHeat(performance.now()),
          memory: this.#memory,
          log,
        },
        this.#peers ?? NO_PEERS,
      );
    const listener = new CacheListener(
      service,
      () => this.#nextId(),
      tls,
      this.#options.proxies,
      () => this.#hasRoom(),
      log,
    );
    served = { service, listener, tls, endpointKey: '', heatSent: '' };
    this.#caches.set(cache.name, served);
    await listener.open(cache);
    served.endpointKey = endpointKey;
  }

  #nextId(): number {
    this.#lastId++;
    return this.#lastId * PROXIES_MAXIMUM + this.#options.index;
  }

  #reportServing(): void {
    const leaving = [...this.#caches]
      .filter(([, { service }]) => !service.router.hasLeft)
      .map(([name]) => name);
    this.#link?.send({
      type: 'serving',
      version: this.#servingVersion,
      failures: Object.fromEntries(this.#failures),
      leaving,
    });
    if (leaving.length === 0 || this.#leavingTimer !== null) return;
    this.#leavingTimer = setTimeout(() => {
      this.#leavingTimer = null;
      if (!this.#stopped) this.#reportServing();
    }, LEAVING_MS);
  }

  #readStored(): Topology | null {
    try {
      return JSON.parse(readFileSync(this.#options.topologyFile, 'utf8')) as Topology;
    } catch {
      return null; // the first start, or a file that a full disk has spoilt: control has the truth
    }
  }

  #store(topology: Topology): void {
    const file = this.#options.topologyFile;
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(`${file}.new`, JSON.stringify(topology), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch (error) {
      this.#options.log.error(
        { err: error },
        'could not keep the topology; a restart without control would not find it',
      );
    }
  }
}

/** The same at every proxy of the cache, so that TLS sessions resume at any of them; known to nobody else. */
function ticketKeys(cache: TopologyCache): Buffer {
  return Buffer.from(hkdfSync('sha256', cache.systemSecret, cache.id, 'tls session tickets', 48));
}

function cacheUsage(service: CacheService): CacheUsage {
  const { router } = service;
  const { meter } = router;
  return {
    name: service.cache.name,
    requests: meter.requests,
    requestsByGroup: meter.requestsByGroup(),
    errorsByKind: meter.errorsByKind(),
    latencyByGroup: meter.latencyByGroup(),
    connections: meter.connections,
    connectionsTotal: meter.connectionsTotal,
    connectionsRefused: meter.connectionsRefused,
    authFailures: meter.authFailures,
    ecpu: router.heat.ecpu,
    throttled: router.limit.throttled,
    throttledRefused: router.limit.refused,
    throttledMs: router.limit.waitedMs,
    bytesIn: meter.bytesIn,
    bytesOut: meter.bytesOut,
    pauses: meter.pauses,
    retries: meter.retries,
    held: meter.held,
    slowReadersCut: meter.slowReadersCut,
    nearHits: meter.nearHits,
    nearFills: meter.nearFills,
    nearInvalidations: meter.nearInvalidations,
    nearDrops: meter.nearDrops,
    nodes: router.nodes
      .filter((node) => node.known)
      .map((node) => {
        const load = router.connections.load(node.index);
        return {
          id: node.id,
          address: `${node.host}:${node.port}`,
          role: node.primary ? ('primary' as const) : ('replica' as const),
          connected: load.connected,
          connections: load.connections,
          pendingRequests: load.pending,
        };
      }),
  };
}
