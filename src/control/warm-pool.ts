/**
 * The warm pool: engines that run and belong to no cache yet, so that a new shard or replica is a matter of milliseconds
 * and not of a process start. All of a class are alike; how many there should be is a policy's to say (`resize`).
 *
 *   resize -> starting -> ready -> take -> the caller makes it a node of a cache (steps/provision-node.ts)
 *                           └─ its process ends, or there are too many: removed
 *
 * A warm node knows the system user with the pool's own secret, and no other user. It has no cluster, so that it may have
 * been up for long when it joins one: the two seconds in which a fresh primary takes no writes are over by then.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { AdminClient } from '../engine/admin-client.ts';
import type { HostedNode } from '../engine/host.ts';
import type { EngineLine } from '../model/cache-spec.ts';
import { SYSTEM_USER_NAME } from '../model/user.ts';
import { aclLines } from './acl-rules.ts';
import { hashSeedOf } from './hash-seed.ts';
import { announceOf } from './node-request.ts';
import type { Hosts } from './hosts.ts';
import type { Journal } from './journal.ts';
import type { Ports } from './ports.ts';
import type { Store } from './store.ts';
import type { WarmNodeRecord } from './store-records.ts';

/** What warm nodes must have in common with the cache that takes them. */
export interface WarmClass {
  readonly engineLine: EngineLine;
  readonly databases: number;
}

export interface WarmNode {
  readonly record: WarmNodeRecord;
  readonly process: HostedNode;
  readonly admin: AdminClient;
}

export interface PoolStatus extends WarmClass {
  readonly ready: number;
  readonly starting: number;
}

export interface WarmPoolDependencies {
  readonly store: Store;
  readonly hosts: Hosts;
  readonly ports: Ports;
  readonly log: Logger;
  readonly journal: Journal;
}

/** A node that meets a cluster for the first time keeps to itself for as long as its node timeout. */
const JOINING_NODE_TIMEOUT_MS = 500;
/** After a failed start the next one waits, so that a full disk is not hammered. */
const RETRY_MS = 5_000;
const STARTS_AT_A_TIME = 8;

export class WarmPool {
  readonly #deps: WarmPoolDependencies;
  readonly #ready = new Map<string, WarmNode>();
  /** Ids of those that are on their way. */
  readonly #starting = new Map<string, WarmClass>();
  readonly #ending = new Set<Promise<void>>();
  #notBeforeMs = 0;
  /** The last start failed, and an event has said so. */
  #failing = false;
  #stopped = false;
  #subscription: Disposable | null = null;

  constructor(deps: WarmPoolDependencies) {
    this.#deps = deps;
  }

  /** Takes up the warm nodes that a daemon before this one has left. */
  async adopt(): Promise<void> {
    const { store, hosts, log } = this.#deps;
    this.#subscription = hosts.onNodeEnd(({ nodeId }) => this.#ended(nodeId));
    const { nodes } = await hosts.list();
    const running = new Map(nodes.map((process) => [process.nodeId, process]));
    await Promise.all(
      store.warm.all().map(async (record) => {
        const process = running.get(record.id);
        try {
          if (process === undefined) throw new Error('it does not run');
          await this.#admit(record, process);
        } catch (error) {
          // One that a cache was about to have answers to other secrets than the pool's; there are more where it came from.
          log.info({ node: record.id, err: error }, 'a warm node is given up');
          await this.#remove(record);
        }
      }),
    );
  }

  /** By class: what is ready, what is on its way. */
  status(): PoolStatus[] {
    const counts = new Map<string, { class: WarmClass; ready: number; starting: number }>();
    const count = (one: WarmClass, what: 'ready' | 'starting') => {
      const key = keyOf(one);
      const entry = counts.get(key) ?? { class: one, ready: 0, starting: 0 };
      entry[what]++;
      counts.set(key, entry);
    };
    for (const { record } of this.#ready.values()) count(record, 'ready');
    for (const one of this.#starting.values()) count(one, 'starting');
    return [...counts.values()].map(({ class: { engineLine, databases }, ready, starting }) => ({
      engineLine,
      databases,
      ready,
      starting,
    }));
  }

  /** Starts or ends warm nodes, in parallel, until there are as many of each class as it says; of a class not named none. */
  resize(wanted: readonly (WarmClass & { readonly count: number })[]): void {
    if (this.#stopped) return;
    for (const { record } of this.#ready.values()) {
      if (this.#deps.store.drains.has(record.hostId)) this.#drop(record);
    }
    const counts = new Map(wanted.map((one) => [keyOf(one), one.count]));
    for (const one of wanted) {
      const have = this.#of(one).length + this.#startingOf(one);
      for (let missing = one.count - have; missing > 0; missing--) this.#start(one);
    }
    for (const { record } of this.#ready.values()) {
      const surplus = this.#of(record).length - (counts.get(keyOf(record)) ?? 0);
      if (surplus > 0) this.#drop(record);
    }
  }

  /**
   * Gives a ready node away; from now on it is the caller's.
   *
   * @param hostIds where it may be, best first; among those of a host the oldest
   * @returns null when none is ready there
   */
  take(wanted: WarmClass, hostIds: readonly string[]): WarmNode | null {
    const rankOf = ({ record }: WarmNode) => hostIds.indexOf(record.hostId);
    const [best] = this.#of(wanted)
      .filter((node) => rankOf(node) >= 0)
      .sort((a, b) => rankOf(a) - rankOf(b));
    if (best === undefined) return null;
    this.#ready.delete(best.record.id);
    return best;
  }

  /** One that was taken could not be used. */
  giveUp(node: WarmNode): Promise<void> {
    node.admin.close();
    return this.#remove(node.record);
  }

  /** The daemon leaves; the nodes stay for the next one. Resolves when nothing is being started or ended. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#subscription?.[Symbol.dispose]();
    await Promise.all(this.#ending);
    for (const { admin } of this.#ready.values()) admin.close();
    this.#ready.clear();
  }

  /** Ends all of it. */
  async empty(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#ending);
    for (const { record } of this.#ready.values()) this.#drop(record);
    await Promise.all(this.#ending);
  }

  #of(wanted: WarmClass): WarmNode[] {
    const key = keyOf(wanted);
    return [...this.#ready.values()].filter(({ record }) => keyOf(record) === key);
  }

  #startingOf(wanted: WarmClass): number {
    const key = keyOf(wanted);
    return [...this.#starting.values()].filter((one) => keyOf(one) === key).length;
  }

  #start(wanted: WarmClass): void {
    if (this.#starting.size >= STARTS_AT_A_TIME || Date.now() < this.#notBeforeMs) return;
    const id = `node-${randomBytes(6).toString('hex')}`;
    this.#starting.set(id, wanted);
    this.#track(
      this.#launch(id, wanted)
        .then(
          () => this.#works(),
          (error: unknown) => this.#failed(id, error),
        )
        .finally(() => this.#starting.delete(id)),
    );
  }

  async #launch(id: string, wanted: WarmClass): Promise<void> {
    const { store, hosts, ports } = this.#deps;
    // As a primary's place is chosen: even over zones, for nobody knows yet what it will be.
    const hostId = hosts.place(store, 'primary', []);
    const { port, busPort } = await ports.nodePair(hosts.address(hostId));
    const { engineLine, databases } = wanted;
    const record: WarmNodeRecord = { id, hostId, engineLine, databases, port, busPort };
    // Before its process is there: one that is found later must be known to be ours.
    store.warm.insert(record);
    try {
      const process = await hosts.on(hostId, (host) =>
        host.startNode({
          nodeId: id,
          version: engineLine,
          port,
          ...announceOf(host.address),
          clusterEnabled: true,
          clusterBusPort: busPort,
          clusterNodeTimeoutMs: JOINING_NODE_TIMEOUT_MS,
          databases,
          aclLines: aclLines([], this.#secret()),
          hashSeed: hashSeedOf(store),
        }),
      );
      await this.#admit(record, process);
    } catch (error) {
      await this.#remove(record);
      throw error;
    }
  }

  #works(): void {
    // One of several may work while others do not.
    if (!this.#failing || Date.now() < this.#notBeforeMs) return;
    this.#failing = false;
    this.#deps.journal.event(null, 'pool-recovered', 'warm nodes start again');
  }

  #failed(nodeId: string, error: unknown): void {
    this.#notBeforeMs = Date.now() + RETRY_MS;
    this.#deps.log.warn({ node: nodeId, err: error }, 'a warm node cannot be started');
    // One that the daemon's end has cut off says nothing; of many in a row the first is enough.
    if (this.#stopped || this.#failing) return;
    this.#failing = true;
    const why = error instanceof Error ? error.message : String(error);
    this.#deps.journal.event(
      null,
      'pool-failing',
      `a node for the warm pool cannot be started (${why}); tried again every ${RETRY_MS / 1000} s`,
    );
  }

  async #admit(record: WarmNodeRecord, process: HostedNode): Promise<void> {
    const admin = await AdminClient.connect({
      host: process.host,
      port: process.port,
      username: SYSTEM_USER_NAME,
      password: this.#secret(),
    });
    this.#ready.set(record.id, { record, process, admin });
  }

  /** One password for all of them, of this data directory. */
  #secret(): string {
    return this.#deps.store.secret('warm-pool', () => randomBytes(32).toString('hex'));
  }

  #drop(record: WarmNodeRecord): void {
    this.#ready.get(record.id)?.admin.close();
    this.#ready.delete(record.id);
    this.#track(this.#remove(record));
  }

  async #remove(record: WarmNodeRecord): Promise<void> {
    const { store, hosts, ports, log } = this.#deps;
    try {
      const stop = { graceMs: 0, forget: true };
      await hosts.on(record.hostId, (host) => host.stopNode(record.id, stop));
    } catch (error) {
      log.warn({ node: record.id, err: error }, 'a warm node cannot be removed');
    }
    store.warm.delete(record.id);
    ports.release([record.port, record.busPort]);
  }

  #ended(nodeId: string): void {
    const node = this.#ready.get(nodeId);
    if (node !== undefined) this.#drop(node.record);
  }

  #track(work: Promise<void>): void {
    this.#ending.add(work);
    void work.finally(() => this.#ending.delete(work));
  }
}

function keyOf({ engineLine, databases }: WarmClass): string {
  return `${engineLine} ${databases}`;
}
