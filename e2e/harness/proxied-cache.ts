/** A small cache for tests: real nodes, and proxies of this process in front of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineLine } from '../../src/model/cache-spec.ts';
import type { TopologyCache } from '../../src/model/topology.ts';
import type { CacheUsage } from '../../src/model/usage.ts';
import type { Proxy } from '../../src/proxy/proxy.ts';
import { startInProcessProxy } from './in-process-proxy.ts';
import { NodeFarm, type TestNode } from './node-farm.ts';
import { RawClient } from './raw-client.ts';
import { SlowTracking } from './slow-tracking.ts';
import { OPEN_USER, topologyOfNodes, type EndpointOptions } from './topology-of-nodes.ts';

/** `users` are those beside `default`, which may do everything without a password. */
export interface ProxiedCacheOptions extends EndpointOptions {
  readonly sharding?: boolean;
  /** Shards; 1 when unsharded. */
  readonly shards?: number;
  /** Replicas for each shard. */
  readonly replicas?: number;
  readonly line?: EngineLine;
  /** Directives of every node. */
  readonly directives?: Readonly<Record<string, string>>;
  /** What all clients together may make a proxy hold. */
  readonly clientMemoryBytes?: number;
  /** Unsharded: what tracking connections get comes so much later. */
  readonly trackingLateMs?: number;
  /** Proxies of the cache, the further ones on ports of their own (`proxyPorts`). */
  readonly proxies?: number;
}

export class ProxiedCache {
  /** As proxy 0 knows it. */
  readonly cache: TopologyCache;
  readonly nodes: TestNode[];
  /** A plain server of the same version, to compare with. */
  readonly plain: TestNode;
  /** Endpoint of each proxy. */
  readonly proxyPorts: number[] = [];
  readonly #farm: NodeFarm;
  readonly #dir: string;
  readonly #proxies: Proxy[] = [];
  readonly #clients: RawClient[] = [];
  #ways: readonly SlowTracking[] = [];

  private constructor(
    cache: TopologyCache,
    nodes: TestNode[],
    plain: TestNode,
    farm: NodeFarm,
    dir: string,
  ) {
    this.cache = cache;
    this.nodes = nodes;
    this.plain = plain;
    this.#farm = farm;
    this.#dir = dir;
  }

  /** All of it, or nothing. */
  static async start(options: ProxiedCacheOptions = {}): Promise<ProxiedCache> {
    const dir = mkdtempSync(join(tmpdir(), 'springtide-proxied-'));
    const farm = new NodeFarm(dir);
    try {
      return await ProxiedCache.#start(options, farm, dir);
    } catch (error) {
      await farm.stopAll();
      rmSync(dir, { recursive: true, force: true });
      throw error;
    }
  }

  static async #start(
    options: ProxiedCacheOptions,
    farm: NodeFarm,
    dir: string,
  ): Promise<ProxiedCache> {
    const { sharding = true, replicas = 0, line = '9.1', proxies = 1, clientMemoryBytes } = options;
    const shards = sharding ? (options.shards ?? 3) : 1;
    const users = [OPEN_USER, ...(options.users ?? [])];
    const acl = users.map((user) => `user ${user.name} on >${user.upstreamSecret} ${user.rules}`);
    const extra = {
      'enable-debug-command': 'local',
      'cluster-node-timeout': '1000',
      ...options.directives,
    };
    const [nodes, plain] = await Promise.all([
      sharding
        ? farm.startCluster(shards, replicas, { acl, extra, line })
        : farm.startReplicated(replicas, { acl, extra, line }),
      farm.startPlain({ extra, line }),
    ]);
    const ways: SlowTracking[] = [];
    if (options.trackingLateMs !== undefined)
      for (const node of nodes)
        ways.push(await SlowTracking.open(node.port, options.trackingLateMs));
    const own = async (): Promise<TopologyCache> => {
      const cache = topologyOfNodes(nodes, shards, await farm.portPair(), { ...options, users });
      if (ways.length === 0) return cache;
      const viaWays = cache.nodes.map((node, i) => ({ ...node, port: ways[i]!.port }));
      return { ...cache, nodes: viaWays };
    };
    const started = new ProxiedCache(await own(), nodes, plain, farm, dir);
    started.#ways = ways;
    for (let index = 0; index < proxies; index++) {
      const cache = index === 0 ? started.cache : await own();
      const proxy = await startInProcessProxy(dir, cache, {
        index,
        proxies,
        ...(clientMemoryBytes === undefined ? {} : { clientMemoryBytes }),
      });
      started.#proxies.push(proxy);
      started.proxyPorts.push(cache.port);
    }
    return started;
  }

  /** A connection to the endpoint, RESP2, as `default`. */
  async client(): Promise<RawClient> {
    return this.#keep(await RawClient.connect(this.cache.port));
  }

  async reader(): Promise<RawClient> {
    return this.#keep(await RawClient.connect(this.cache.readerPort));
  }

  /** What a proxy has counted of the cache. */
  usage(index = 0): CacheUsage {
    return this.#proxies[index]!.usage().caches[0]!;
  }

  /** A connection to the plain server. */
  async plainClient(): Promise<RawClient> {
    return this.#keep(await RawClient.connect(this.plain.port));
  }

  /** Starts a node again that was killed: the same port, and what it had on disk. */
  async restart(index: number): Promise<void> {
    this.nodes[index] = await this.#farm.restart(this.nodes[index]!);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const way of this.#ways) way.close();
    // At once: the nodes end even if a proxy that a test has broken does not.
    await Promise.all([this.#farm.stopAll(), ...this.#proxies.map((proxy) => proxy.drain(0))]);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #keep(client: RawClient): RawClient {
    this.#clients.push(client);
    return client;
  }
}
