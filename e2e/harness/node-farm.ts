/** Real engine nodes for tests: single servers, clusters, primaries with replicas. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ports } from '../../src/control/ports.ts';
import { installEngine } from '../../src/engine/catalogue.ts';
import { launchNode, type RunningNode } from '../../src/engine/launch.ts';
import type { NodeSettings } from '../../src/engine/node-config.ts';
import type { EngineLine } from '../../src/model/cache-spec.ts';
import { SYSTEM_USER_NAME } from '../../src/model/user.ts';
import { followFirst, formCluster } from './form-cluster.ts';
import { RawClient } from './raw-client.ts';
import { until } from './until.ts';

/** What every node of the harness knows the proxies by. */
export const UPSTREAM_SECRET = 'secret-of-default';
export const SYSTEM_SECRET = 'secret-of-system';

export interface NodeOptions {
  readonly clusterEnabled: boolean;
  /** Lines of users beside the system's; default: `default`, as proxies know it. */
  readonly acl?: readonly string[];
  /** No users but an open `default`, not even the system's. */
  readonly plain?: boolean;
  /** Directives, over all others. */
  readonly extra?: Readonly<Record<string, string | readonly string[]>>;
  readonly line?: EngineLine;
}

const NODE_TIMEOUT_MS = 2000;

/** One process, until it ends. */
export class TestNode {
  /** The system user's connection, where there is one. */
  readonly admin: RawClient;
  /** Empty outside a cluster. */
  readonly clusterId: string;
  /** As it was started. */
  readonly settings: NodeSettings;
  readonly options: NodeOptions;
  readonly #running: RunningNode;
  #alive = true;

  constructor(
    running: RunningNode,
    settings: NodeSettings,
    options: NodeOptions,
    admin: RawClient,
    clusterId: string,
  ) {
    this.#running = running;
    this.settings = settings;
    this.options = options;
    this.admin = admin;
    this.clusterId = clusterId;
    void running.exited.then(() => (this.#alive = false));
  }

  get nodeId(): string {
    return this.settings.nodeId;
  }

  get port(): number {
    return this.settings.port;
  }

  get pid(): number {
    return this.#running.pid;
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  /** Sends a signal; nothing to a process that has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.#alive) process.kill(this.pid, signal);
  }

  /** SIGKILL, as an out-of-memory killer does it; resolves when it has ended. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    // Its `exited` keeps no process waiting: a test that has nothing else to do would end before.
    await until(() => !this.#alive);
  }
}

export class NodeFarm {
  readonly #root: string;
  /** Reserved until the end: what a test kills and starts again finds its port free, and no other test takes it. */
  readonly #ports = new Ports();
  readonly #nodes: TestNode[] = [];
  #count = 0;

  /** @param root a directory for all that the nodes write */
  constructor(root: string) {
    this.#root = root;
  }

  /** Two ports in a row that nobody else takes. */
  async portPair(): Promise<readonly [number, number]> {
    const { port, busPort } = await this.#ports.nodePair();
    return [port, busPort];
  }

  async start(options: NodeOptions): Promise<TestNode> {
    const nodeId = `node-${this.#count++}`;
    const dir = join(this.#root, nodeId);
    await mkdir(dir, { recursive: true });
    const [port, clusterBusPort] = await this.portPair();
    return this.#launch(options, {
      nodeId,
      port,
      clusterBusPort,
      dir,
      clusterEnabled: options.clusterEnabled,
      clusterNodeTimeoutMs: NODE_TIMEOUT_MS,
      ...(options.plain ? {} : await users(dir, options.acl)),
      // The same for all, so that what depends on hashing (SMEMBERS, SCAN) has one order everywhere.
      hashSeed: 'springtide-tests',
      // A machine that is busy makes commands slow; SLOWLOG's answers must not depend on it.
      extra: { 'slowlog-log-slower-than': '60000000', ...options.extra },
    });
  }

  /** A process again for a node whose last one has ended, on its port and with what it had on disk. */
  restart(node: TestNode): Promise<TestNode> {
    return this.#launch(node.options, node.settings);
  }

  /** A server as a user would start it by hand: no users, no cluster. */
  startPlain(options: Pick<NodeOptions, 'extra' | 'line'> = {}): Promise<TestNode> {
    return this.start({ ...options, clusterEnabled: false, plain: true });
  }

  /** `shards` primaries that own all slots in equal ranges, each with `replicas` replicas: primaries first. */
  async startCluster(
    shards: number,
    replicas = 0,
    options: Omit<NodeOptions, 'clusterEnabled'> = {},
  ): Promise<TestNode[]> {
    const nodes = await this.#startMany(shards * (1 + replicas), {
      ...options,
      clusterEnabled: true,
    });
    await formCluster(nodes, shards);
    return nodes;
  }

  /** A primary and its replicas, without a cluster: the primary first. */
  async startReplicated(
    replicas: number,
    options: Omit<NodeOptions, 'clusterEnabled'> = {},
  ): Promise<TestNode[]> {
    const nodes = await this.#startMany(1 + replicas, { ...options, clusterEnabled: false });
    await followFirst(nodes);
    return nodes;
  }

  async stopAll(): Promise<void> {
    await Promise.all(
      this.#nodes.map((node) => {
        node.admin.close();
        return node.kill();
      }),
    );
    this.#ports.close();
  }

  #startMany(count: number, options: NodeOptions): Promise<TestNode[]> {
    return Promise.all(Array.from({ length: count }, () => this.start(options)));
  }

  async #launch(options: NodeOptions, settings: NodeSettings): Promise<TestNode> {
    const engine = await installEngine(options.line ?? '9.1');
    const running = await launchNode(engine, settings, { startTimeoutMs: 60_000 });
    const login = options.plain ? undefined : ([SYSTEM_USER_NAME, SYSTEM_SECRET] as const);
    const admin = await RawClient.whenUp(settings.port, login);
    const clusterId = settings.clusterEnabled ? await admin.text('CLUSTER', 'MYID') : '';
    const node = new TestNode(running, settings, options, admin, clusterId);
    this.#nodes.push(node);
    return node;
  }
}

/** Writes the file of users. */
async function users(
  dir: string,
  acl: readonly string[] = [`user default on >${UPSTREAM_SECRET} ~* &* +@all`],
): Promise<Pick<NodeSettings, 'aclFile' | 'primaryUser' | 'primaryPassword'>> {
  const aclFile = join(dir, 'users.acl');
  const system = `user ${SYSTEM_USER_NAME} on >${SYSTEM_SECRET} ~* &* +@all`;
  await writeFile(aclFile, `${[...acl, system].join('\n')}\n`);
  return { aclFile, primaryUser: SYSTEM_USER_NAME, primaryPassword: SYSTEM_SECRET };
}
