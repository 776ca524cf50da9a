import { mkdir, readdir, rm } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import type { EngineInstallation } from './catalogue.ts';
import {
  LOCAL_HOST_ID,
  type Host,
  type HostCapacity,
  type HostedNode,
  type NodeActivity,
  type NodeEnd,
  type NodeRequest,
  type StopRequest,
} from './host.ts';
import { HostCpu } from './host-cpu.ts';
import { adoptNode, launchNode, stopNode, type RunningNode } from './launch.ts';
import { isNodeId } from './node-config.ts';
import { NodeError } from './node-error.ts';
import { OomKills } from './oom-kills.ts';
import { portTaken, tryConnect } from './port-check.ts';
import { writePrivateFile } from './private-file.ts';
import { readActivity } from './process-activity.ts';

export interface LocalHostOptions {
  readonly id?: string;
  readonly zone?: string;
  /** Where its nodes listen. Default 127.0.0.1. */
  readonly address?: string;
  /** The network namespace that stands for this host; none: the one we are in. */
  readonly netns?: string;
  /** What its nodes may use, where that is less than what the machine has. */
  readonly cores?: number;
  readonly memoryBytes?: number;
  /** Nodes live in `<dataDir>/nodes/<nodeId>/`. */
  readonly dataDir: string;
  /** The engine for a version, as the catalogue's findEngine gives it. */
  readonly findEngine: (version: string | undefined) => Promise<EngineInstallation>;
  /**
   * Ports for nodes that ask for none: from the first to the last. With the cluster bus 10000 above, both below the
   * range that Linux takes ports of outgoing connections from (32768 and up). Default 12000 to 21999.
   */
  readonly ports?: readonly [first: number, last: number];
}

const DEFAULT_PORTS = [12_000, 21_999] as const;
const BUS_OFFSET = 10_000;
/** A machine that is there refuses connections to it. */
const CLOSED_PORT = 1;
const REACH_TIMEOUT_MS = 400;

/**
 * This machine as a host, or a network namespace of it that stands for another machine: what cannot be reached over its
 * network cannot be asked or told anything either, as it would be with an agent.
 */
export class LocalHost implements Host {
  readonly id: string;
  readonly zone: string;
  readonly address: string;
  readonly cores: number;
  readonly #options: LocalHostOptions;
  readonly #nodesDir: string;
  readonly #findEngine: LocalHostOptions['findEngine'];
  readonly #ports: readonly [number, number];
  readonly #nodes = new Map<string, RunningNode>();
  /** The last operation on each node: a start and a stop of one node never overlap. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #stopping = new Set<string>();
  readonly #reservedPorts = new Set<number>();
  #nextPort = 0;
  readonly #cpu = new HostCpu();
  /** While somebody listens. */
  #oomKills: OomKills | null = null;
  readonly #listeners = new Set<(end: NodeEnd) => void>();

  constructor(options: LocalHostOptions) {
    this.id = options.id ?? LOCAL_HOST_ID;
    this.zone = options.zone ?? 'local';
    this.address = options.address ?? '127.0.0.1';
    this.cores = Math.min(availableParallelism(), options.cores ?? Number.POSITIVE_INFINITY);
    this.#options = options;
    this.#nodesDir = join(resolve(options.dataDir), 'nodes');
    this.#findEngine = options.findEngine;
    this.#ports = options.ports ?? DEFAULT_PORTS;
  }

  startNode(request: NodeRequest, signal?: AbortSignal): Promise<HostedNode> {
    return this.#inTurn(request.nodeId, async () => {
      await this.#requireReachable();
      const running = this.#nodes.get(request.nodeId) ?? (await this.#adopt(request.nodeId));
      if (running !== undefined) return this.#describe(running);
      const { netns } = this.#options;
      const { version, aclLines, port: wantedPort, ...settings } = request;
      const engine = await this.#findEngine(version);
      const port = wantedPort ?? (await this.#reservePort(request.clusterEnabled));
      try {
        const dir = this.#dirOf(request.nodeId);
        const aclFile = aclLines === undefined ? undefined : await writeAcl(dir, aclLines);
        const node = await launchNode(
          engine,
          {
            bind: [this.address],
            ...settings,
            dir,
            port,
            ...(aclFile === undefined ? {} : { aclFile }),
          },
          {
            hostId: this.id,
            ...(netns === undefined ? {} : { netns }),
            ...(signal === undefined ? {} : { signal }),
          },
        );
        this.#track(node);
        return this.#describe(node);
      } finally {
        this.#reservedPorts.delete(port);
      }
    });
  }

  stopNode(nodeId: string, request: StopRequest = {}): Promise<void> {
    return this.#inTurn(nodeId, async () => {
      await this.#requireReachable();
      const node = this.#nodes.get(nodeId) ?? (await this.#adopt(nodeId));
      if (node !== undefined) {
        this.#stopping.add(nodeId);
        try {
          await stopNode(node, request.graceMs === undefined ? {} : { graceMs: request.graceMs });
        } finally {
          this.#stopping.delete(nodeId);
        }
      }
      if (request.forget === true) await rm(this.#dirOf(nodeId), { recursive: true, force: true });
    });
  }

  async list(): Promise<HostedNode[]> {
    await this.#requireReachable();
    const names = await readdir(this.#nodesDir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    await Promise.all(
      names.filter(isNodeId).map((nodeId) =>
        this.#inTurn(nodeId, async () => {
          if (!this.#nodes.has(nodeId)) await this.#adopt(nodeId);
        }),
      ),
    );
    return [...this.#nodes.values()].map((node) => this.#describe(node));
  }

  async capacity(): Promise<HostCapacity> {
    await this.#requireReachable();
    // Without a limit the constraint is 0, or a number beyond any machine.
    const limitBytes = process.constrainedMemory() || Number.POSITIVE_INFINITY;
    const { memoryBytes = limitBytes } = this.#options;
    const mayUseBytes = Math.min(totalmem(), limitBytes, memoryBytes);
    return {
      cores: this.cores,
      memoryBytes: mayUseBytes,
      freeMemoryBytes: Math.min(process.availableMemory(), mayUseBytes),
      // Of the machine: where this host is a part of it, nobody knows how busy that part is.
      cpuUtilisation: this.#options.cores === undefined ? this.#cpu.sample() : null,
    };
  }

  async activity(nodeIds: readonly string[]): Promise<NodeActivity[]> {
    await this.#requireReachable();
    return nodeIds.flatMap((nodeId) => {
      const node = this.#nodes.get(nodeId);
      const activity = node === undefined ? undefined : readActivity(node);
      return activity === undefined ? [] : [{ nodeId, ...activity }];
    });
  }

  onNodeEnd(listener: (end: NodeEnd) => void): Disposable {
    this.#listeners.add(listener);
    this.#oomKills ??= new OomKills();
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size > 0) return;
        this.#oomKills?.stop();
        this.#oomKills = null;
      },
    };
  }

  async #adopt(nodeId: string): Promise<RunningNode | undefined> {
    const node = await adoptNode(this.#dirOf(nodeId), this.id);
    if (node !== undefined) this.#track(node);
    return node;
  }

  #track(node: RunningNode): void {
    this.#nodes.set(node.nodeId, node);
    void node.exited.then(({ code, signal }) => {
      if (this.#nodes.get(node.nodeId) === node) this.#nodes.delete(node.nodeId);
      const requested = this.#stopping.has(node.nodeId);
      // Of an adopted process the system does not say how it ended.
      const mayBe = !requested && code === null && (signal === null || signal === 'SIGKILL');
      const outOfMemory = mayBe && (this.#oomKills?.take() ?? false);
      const { nodeId, pid } = node;
      const end: NodeEnd = { nodeId, pid, requested, code, signal, outOfMemory };
      for (const listener of this.#listeners) listener(end);
    });
  }

  /** @throws NodeError HOST_UNREACHABLE */
  async #requireReachable(): Promise<void> {
    if (this.#options.netns === undefined) return;
    const answer = await tryConnect(this.address, CLOSED_PORT, REACH_TIMEOUT_MS);
    if (answer !== 'unreachable') return;
    throw new NodeError('HOST_UNREACHABLE', `Host ${this.id} (${this.address}) cannot be reached.`);
  }

  #inTurn<T>(nodeId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(nodeId) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(nodeId, turn);
    const leave = () => {
      if (this.#turns.get(nodeId) === turn) this.#turns.delete(nodeId);
    };
    turn.then(leave, leave);
    return turn;
  }

  async #reservePort(withBus: boolean): Promise<number> {
    const [first, last] = this.#ports;
    const count = last - first + 1;
    for (let tried = 0; tried < count; tried++) {
      // Round and round: a port just left is the last to be given again, since some proxy may still try it for the node
      // that was there.
      const port = first + (this.#nextPort++ % count);
      // Reserved before it is tried, so that two starts at once do not find the same one.
      if (this.#reservedPorts.has(port)) continue;
      this.#reservedPorts.add(port);
      const wanted = withBus ? [port, port + BUS_OFFSET] : [port];
      const taken = await Promise.all(wanted.map((one) => portTaken(this.address, one)));
      if (taken.every((one) => one === null)) return port;
      this.#reservedPorts.delete(port);
    }
    throw new NodeError(
      'NODE_PORT_IN_USE',
      `No port from ${first} to ${last} is free for a node; give this host another range.`,
    );
  }

  #dirOf(nodeId: string): string {
    // It becomes a path: checked before anything is made of it.
    if (!isNodeId(nodeId)) throw new NodeError('NODE_UNKNOWN', `"${nodeId}" is not a node id.`);
    return join(this.#nodesDir, nodeId);
  }

  #describe(node: RunningNode): HostedNode {
    const { nodeId, host, port, pid, version, dir, logFile } = node;
    return { nodeId, hostId: this.id, host, port, pid, version, dir, logFile };
  }
}

async function writeAcl(dir: string, lines: readonly string[]): Promise<string> {
  const file = join(dir, 'users.acl');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  // It holds password hashes.
  await writePrivateFile(file, lines.map((line) => `${line}\n`).join(''));
  return file;
}
