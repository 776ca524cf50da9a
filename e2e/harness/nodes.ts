/** Real Valkey nodes for tests: single servers, and clusters whose slots are dealt out by hand. */
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { installEngine, type EngineInstallation } from '../../src/engine/catalogue.ts';
import { launchNode, stopNode, type RunningNode } from '../../src/engine/launch.ts';
import { SLOT_COUNT } from '../../src/protocol/hash-slot.ts';
import { textOf, type RespValue } from '../../src/protocol/resp-value.ts';
import { Wire, type Word } from './wire.ts';

/** What every node of the harness knows the proxies by. */
export const UPSTREAM_SECRET = 'upstream-secret';
export const SYSTEM_SECRET = 'system-secret';
const NODE_TIMEOUT_MS = 2000;

/** A line of a node's ACL file. */
export type AclLine = string;

export interface TestNode extends RunningNode {
  /** Logged in as the system user. */
  readonly admin: Wire;
  readonly clusterId: string;
}

export interface NodeOptions {
  readonly clusterEnabled: boolean;
  readonly acl?: readonly AclLine[];
  readonly extra?: Readonly<Record<string, string | readonly string[]>>;
  /** The same again after a death. */
  readonly port?: number;
}

/** A port that is free now, and so is the one 10000 above it (the cluster bus). */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const servers = [port, port + 1, port + 10_000].map((each) =>
      createServer().listen(each, '127.0.0.1'),
    );
    const free = await Promise.all(servers.map((server) => once(server, 'listening'))).then(
      () => true,
      () => false,
    );
    await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
    if (free) return port;
  }
}

export class NodeFarm {
  readonly #root: string;
  readonly #running = new Set<TestNode>();
  #engine: EngineInstallation | null = null;
  #count = 0;

  constructor(root: string) {
    this.#root = root;
  }

  async engine(): Promise<EngineInstallation> {
    return (this.#engine ??= await installEngine('9.1'));
  }

  async start(options: NodeOptions): Promise<TestNode> {
    const engine = await this.engine();
    const nodeId = `node-${++this.#count}`;
    const dir = join(this.#root, nodeId);
    await mkdir(dir, { recursive: true });
    const aclFile = join(dir, 'users.acl');
    const lines = options.acl ?? [
      `user default on >${UPSTREAM_SECRET} ~* &* +@all`,
      `user springtide-system on >${SYSTEM_SECRET} ~* &* +@all`,
    ];
    await writeFile(aclFile, `${lines.join('\n')}\n`);
    const node = await launchNode(engine, {
      nodeId,
      port: options.port ?? (await freePort()),
      dir,
      clusterEnabled: options.clusterEnabled,
      clusterNodeTimeoutMs: NODE_TIMEOUT_MS,
      aclFile,
      // The same for all, so that what depends on hashing (SMEMBERS, SCAN) has one order everywhere.
      hashSeed: 'springtide-tests',
      primaryUser: 'springtide-system',
      primaryPassword: SYSTEM_SECRET,
      // A machine that is busy makes commands slow; SLOWLOG's answers must not depend on it.
      extra: { 'slowlog-log-slower-than': '60000000', ...options.extra },
    });
    const admin = await Wire.open({ port: node.port });
    await admin.ask('AUTH', 'springtide-system', SYSTEM_SECRET);
    const clusterId = options.clusterEnabled
      ? (textOf(await admin.value('CLUSTER', 'MYID')) ?? '')
      : '';
    const started: TestNode = { ...node, admin, clusterId };
    this.#running.add(started);
    return started;
  }

  /** A server as a user would start it by hand: no users, no cluster. */
  startPlain(): Promise<TestNode> {
    return this.start({
      clusterEnabled: false,
      acl: ['user default on nopass ~* &* +@all', ...SYSTEM_LINES],
    });
  }

  /** `shards` primaries that own all slots in equal ranges, each with `replicas` replicas: primaries first. */
  async startCluster(shards: number, replicas = 0): Promise<TestNode[]> {
    const nodes = await Promise.all(
      Array.from({ length: shards * (1 + replicas) }, () => this.start({ clusterEnabled: true })),
    );
    const [first] = nodes;
    const share = Math.ceil(SLOT_COUNT / shards);
    await Promise.all(
      nodes.slice(0, shards).map(async ({ admin }, i) => {
        await expectOk(admin, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
        await expectOk(
          admin,
          'CLUSTER',
          'ADDSLOTSRANGE',
          i * share,
          Math.min(SLOT_COUNT, (i + 1) * share) - 1,
        );
      }),
    );
    for (const node of nodes.slice(1))
      await expectOk(first!.admin, 'CLUSTER', 'MEET', '127.0.0.1', node.port);
    await eventually('every node knows the others', async () => {
      const known = await Promise.all(
        nodes.map(async ({ admin }) =>
          textOf(await admin.value('CLUSTER', 'NODES'))!
            .trim()
            .split('\n'),
        ),
      );
      return known.every(
        (lines) => lines.filter((line) => !line.includes('handshake')).length === nodes.length,
      );
    });
    await Promise.all(
      nodes.slice(shards).map(async (node, i) => {
        await expectOk(node.admin, 'CLUSTER', 'REPLICATE', nodes[i % shards]!.clusterId);
        await eventually('the replica follows', async () =>
          textOf(await node.admin.value('INFO', 'replication'))!.includes('master_link_status:up'),
        );
      }),
    );
    await eventually('all agree that all slots are served', async () => {
      const infos = await Promise.all(
        nodes.map(async ({ admin }) => textOf(await admin.value('CLUSTER', 'INFO'))!),
      );
      return infos.every(
        (info) =>
          info.includes('cluster_state:ok') && info.includes('cluster_slots_assigned:16384'),
      );
    });
    return nodes;
  }

  /** SIGKILL: as an out-of-memory killer does it. */
  async kill(node: TestNode): Promise<void> {
    node.admin.close();
    this.#running.delete(node);
    await stopNode(node, { graceMs: 0 });
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map((node) => this.kill(node)));
  }
}

const SYSTEM_LINES = [`user springtide-system on >${SYSTEM_SECRET} ~* &* +@all`];

export async function expectOk(wire: Wire, ...words: Word[]): Promise<void> {
  const reply = (await wire.ask(...words)).toString();
  if (reply !== '+OK\r\n') throw new Error(`${words.join(' ')}: ${reply}`);
}

/** Tries until it holds; 20 s at the most. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it did not come about that ${what}`);
    await delay(10);
  }
}

/** Answers of several nodes' `INFO section` as one number's sum. */
export function infoNumber(info: RespValue, name: string): number {
  const match = new RegExp(`^${name}:(\\d+)`, 'm').exec(textOf(info) ?? '');
  return Number(match?.[1] ?? 0);
}
