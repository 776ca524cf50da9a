/** A cache as clients see it: real nodes, and a real proxy process in front that was told of them by a topology file. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataDirPaths } from '../../src/model/data-dir.ts';
import { NodeFarm, type TestNode } from './node-farm.ts';
import { RawClient, type RawClientOptions } from './raw-client.ts';
import { topologyOfNodes, type EndpointOptions } from './topology-of-nodes.ts';
import { until } from './until.ts';

const PROXY_ENTRY = fileURLToPath(new URL('../../src/daemon/proxy.ts', import.meta.url));

export interface ServedCacheOptions extends EndpointOptions {
  readonly sharding: boolean;
  readonly shards?: number;
  readonly replicas?: number;
}

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
    ports: readonly [number, number],
    options: ServedCacheOptions,
  ) {
    this.#root = root;
    this.#dataDir = join(root, 'data');
    this.farm = farm;
    this.nodes = nodes;
    [this.port, this.readerPort] = ports;
    this.#options = options;
  }

  /** All of it, or nothing. */
  static async start(options: ServedCacheOptions): Promise<ServedCache> {
    const root = await mkdtemp(join(tmpdir(), 'springtide-e2e-'));
    const farm = new NodeFarm(root);
    let cache: ServedCache | null = null;
    try {
      const nodes = options.sharding
        ? await farm.startCluster(options.shards ?? 3, options.replicas ?? 0)
        : await farm.startReplicated(options.replicas ?? 0);
      cache = new ServedCache(root, farm, nodes, await farm.portPair(), options);
      await cache.startProxy();
      return cache;
    } catch (error) {
      await cache?.killProxy();
      await farm.stopAll();
      await rm(root, { recursive: true, force: true });
      throw error;
    }
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
    const { sharding, shards = 3 } = this.#options;
    const ports = [this.port, this.readerPort] as const;
    const cache = topologyOfNodes(this.nodes, sharding ? shards : 1, ports, this.#options);
    const topology = { version: ++this.#version, caches: [cache] };
    await writeFile(join(paths.proxies, '0', 'topology.json'), JSON.stringify(topology), {
      mode: 0o600,
    });
    const level = process.env['SPRINGTIDE_TEST_LOG'] ?? 'fatal';
    const args = [PROXY_ENTRY, '--data-dir', this.#dataDir, '--log-level', level];
    this.#process = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    await until(async () => {
      if (!this.proxyAlive) throw new Error('the proxy did not start');
      const client = await RawClient.connect(this.port).catch(() => null);
      client?.close();
      return client !== null;
    });
  }

  async killProxy(): Promise<void> {
    const child = this.#process;
    if (child === null || !this.proxyAlive) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  connect(options: RawClientOptions = {}): Promise<RawClient> {
    return RawClient.connect(this.port, options);
  }

  async stop(): Promise<void> {
    await this.killProxy();
    await this.farm.stopAll();
    await rm(this.#root, { recursive: true, force: true });
  }
}
