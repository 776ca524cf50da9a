/** A cache as clients see it: real nodes, and a real proxy process in front that was told of them by a topology file. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cacheLimitsSchema, type CacheLimits } from '../../src/model/cache-spec.ts';
import { dataDirPaths } from '../../src/model/data-dir.ts';
import type { EndpointTls, TopologyCache } from '../../src/model/topology.ts';
import type { CacheUser } from '../../src/model/user.ts';
import { freePort, NodeFarm, SYSTEM_SECRET, UPSTREAM_SECRET, type TestNode } from './nodes.ts';
import { Wire, type WireOptions } from './wire.ts';

const PROXY_ENTRY = fileURLToPath(new URL('../../src/daemon/proxy.ts', import.meta.url));

export interface ServedCacheOptions {
  readonly sharding: boolean;
  readonly shards?: number;
  readonly replicas?: number;
  readonly deadlineMs?: number;
  readonly limits?: Partial<CacheLimits>;
  readonly tls?: EndpointTls;
  readonly users?: readonly CacheUser[];
}

/** The user of a fresh server. */
export const OPEN_USER: CacheUser = {
  name: 'default',
  enabled: true,
  nopass: true,
  passwordHashes: [],
  rules: '~* &* +@all',
  upstreamSecret: UPSTREAM_SECRET,
};

export class ServedCache {
  readonly farm: NodeFarm;
  nodes: TestNode[];
  readonly port: number;
  readonly readerPort: number;
  readonly #root: string;
  readonly #dataDir: string;
  readonly #options: ServedCacheOptions;
  #process: ChildProcess | null = null;
  #version = 0;

  private constructor(
    root: string,
    farm: NodeFarm,
    nodes: TestNode[],
    port: number,
    options: ServedCacheOptions,
  ) {
    this.#root = root;
    this.#dataDir = join(root, 'data');
    this.farm = farm;
    this.nodes = nodes;
    this.port = port;
    this.readerPort = port + 1;
    this.#options = options;
  }

  static async start(options: ServedCacheOptions): Promise<ServedCache> {
    const root = await mkdtemp(join(tmpdir(), 'springtide-e2e-'));
    const farm = new NodeFarm(root);
    const nodes = options.sharding
      ? await farm.startCluster(options.shards ?? 3, options.replicas ?? 0)
      : [await farm.start({ clusterEnabled: false })];
    const cache = new ServedCache(root, farm, nodes, await freePort(), options);
    await cache.startProxy();
    return cache;
  }

  get proxyPid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Is the proxy process that was started still the one that runs? */
  get proxyAlive(): boolean {
    return (
      this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null
    );
  }

  /** Resident memory of the proxy. */
  get proxyMemoryBytes(): number {
    const pages = readFileSync(`/proc/${this.proxyPid}/statm`, 'latin1').split(' ')[1];
    return Number(pages) * 4096;
  }

  async startProxy(): Promise<void> {
    const paths = dataDirPaths(this.#dataDir);
    await mkdir(join(paths.proxies, '0'), { recursive: true });
    const topology = { version: ++this.#version, caches: [this.#topology()] };
    await writeFile(join(paths.proxies, '0', 'topology.json'), JSON.stringify(topology), {
      mode: 0o600,
    });
    const level = process.env['SPRINGTIDE_TEST_LOG'] ?? 'fatal';
    const args = [PROXY_ENTRY, '--data-dir', this.#dataDir, '--log-level', level];
    this.#process = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    const deadline = performance.now() + 15_000;
    for (;;) {
      const wire = await Wire.open({ port: this.port }).catch(() => null);
      wire?.close();
      if (wire !== null) return;
      if (!this.proxyAlive || performance.now() > deadline)
        throw new Error('the proxy did not start');
      await delay(20);
    }
  }

  async killProxy(): Promise<void> {
    const child = this.#process;
    if (child === null || !this.proxyAlive) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  connect(options: Partial<WireOptions> = {}): Promise<Wire> {
    return Wire.open({ port: this.port, ...options });
  }

  async stop(): Promise<void> {
    await this.killProxy();
    await this.farm.stopAll();
    await rm(this.#root, { recursive: true, force: true });
  }

  #topology(): TopologyCache {
    const {
      sharding,
      shards = 3,
      tls = null,
      users = [OPEN_USER],
      limits,
      deadlineMs = 5000,
    } = this.#options;
    return {
      name: 'test',
      id: 'test-1',
      engine: 'valkey',
      engineVersion: '9.1',
      sharding,
      databases: 16,
      bind: '127.0.0.1',
      port: this.port,
      readerPort: this.readerPort,
      announceHost: '127.0.0.1',
      tls,
      users,
      systemSecret: SYSTEM_SECRET,
      limits: cacheLimitsSchema.parse(limits),
      deadlineMs,
      nodes: this.nodes.map((node, i) => ({
        id: node.nodeId,
        host: '127.0.0.1',
        port: node.port,
        shard: i % shards,
        role: i < shards ? ('primary' as const) : ('replica' as const),
      })),
      virtualPrimaryId: 'a'.repeat(40),
      virtualReaderId: 'b'.repeat(40),
      createdAtMs: Date.now(),
    };
  }
}
