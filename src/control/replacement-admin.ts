/**
 * What users ask for the nodes of a cache: another engine version, a node on a new process, all of them restarted. Checks,
 * writes down, and leaves the doing to NodeReplacement.
 */
import { ENGINE_LINES, type EngineLine } from '../model/cache-spec.ts';
import type { CacheLookup } from './cache-lookup.ts';
import { ControlError } from './control-error.ts';
import type { Engines } from './engines.ts';
import type { Fleet } from './fleet.ts';
import type { Journal } from './journal.ts';
import type { Lanes } from './lanes.ts';
import { isOlderLine } from './line-order.ts';
import { parseInfo } from './node-observation.ts';
import type { OperationWaiters, Report } from './operation-waiters.ts';
import { REPLACEMENT_WORDS } from './replacement-words.ts';
import type { ReplacementKind } from './replacement-table.ts';
import type { Store } from './store.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

export interface ReplacementAdminDependencies {
  readonly caches: CacheLookup;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly engines: Engines;
  readonly lanes: Lanes;
  readonly journal: Journal;
  readonly waiters: OperationWaiters;
  /** Sends proxies a topology made from the store as it is now. */
  publish(): void;
}

interface Wanted {
  readonly kind: ReplacementKind;
  readonly toLine: EngineLine;
  readonly nodes: readonly NodeRecord[];
  readonly parallelShards: number;
}

/** What a node needs beside its data. */
export const NODE_OVERHEAD_BYTES = 64 * 1024 ** 2;

export class ReplacementAdmin {
  readonly #deps: ReplacementAdminDependencies;

  constructor(deps: ReplacementAdminDependencies) {
    this.#deps = deps;
  }

  /**
   * Replaces every node by one of another engine line; resolves when all are. It goes on when whoever asked goes away.
   *
   * @param parallelShards shards at a time
   * @throws ControlError InvalidParameterCombination when that cannot be, with the reason; EngineError when the engine is
   *   missing
   */
  async upgrade(name: string, line: string, parallelShards: number, report: Report): Promise<void> {
    const cache = this.#changeable(name);
    const toLine = ENGINE_LINES.find((known) => known === line);
    if (toLine === undefined) {
      throw new ControlError(
        'InvalidParameterValue',
        `there is no engine version ${line}; there are ${ENGINE_LINES.join(', ')}`,
      );
    }
    const nodes = this.#nodes(cache).filter((node) => node.engineLine !== toLine);
    if (nodes.length === 0) {
      throw new ControlError(
        'InvalidParameterCombination',
        `cache ${name} runs Valkey ${toLine} already`,
      );
    }
    await this.#deps.engines.find(toLine);
    await this.#refuseImpossible(cache, toLine, nodes);
    await this.#begin(cache, { kind: 'upgrade', toLine, nodes, parallelShards }, report);
  }

  /** Replaces one node by a new one, on another host where there is one. @throws ControlError */
  async replace(name: string, nodeId: string, report: Report): Promise<void> {
    const cache = this.#changeable(name);
    const node = this.#nodes(cache).find(({ id }) => id === nodeId);
    if (node === undefined) {
      throw new ControlError('InvalidParameterValue', `cache ${name} has no node ${nodeId}`);
    }
    // The others of its shard stay: its copies are counted with them.
    const wanted = { kind: 'replace', toLine: node.engineLine, nodes: [node] } as const;
    await this.#begin(cache, { ...wanted, parallelShards: 1 }, report);
  }

  /** Replaces nodes of a cache that are on a host which takes none any more. @throws ControlError */
  async leaveHost(name: string, hostId: string): Promise<void> {
    const cache = this.#changeable(name);
    const there = this.#nodes(cache).filter((node) => node.hostId === hostId);
    // After an upgrade that was given up there may be two lines; the other one's turn is the next time.
    const toLine = there[0]?.engineLine;
    if (toLine === undefined) return;
    const nodes = there.filter(({ engineLine }) => engineLine === toLine);
    const wanted = { kind: 'drain', toLine, nodes, parallelShards: 1 } as const;
    await this.#begin(cache, wanted, () => undefined);
  }

  /** Replaces all nodes, shard by shard, by new ones with the settings of today. @throws ControlError */
  async restart(name: string, parallelShards: number, report: Report): Promise<void> {
    const cache = this.#changeable(name);
    const nodes = this.#nodes(cache);
    const toLine = cache.spec.engineVersion;
    await this.#begin(cache, { kind: 'restart', toLine, nodes, parallelShards }, report);
  }

  #changeable(name: string): CacheRecord {
    const cache = this.#deps.caches.available(name);
    if (cache.state !== 'available') {
      throw new ControlError(
        'InvalidServerlessCacheStateFault',
        `cache ${name} is ${cache.state}: another change of it is under way`,
      );
    }
    return cache;
  }

  #nodes(cache: CacheRecord): NodeRecord[] {
    return this.#deps.store.nodes(cache.id).filter(({ leaving }) => !leaving);
  }

  async #begin(cache: CacheRecord, wanted: Wanted, report: Report): Promise<void> {
    const { store, lanes, journal, waiters } = this.#deps;
    const surgeNodes = await this.#surge(cache, wanted);
    // As it is now: whoever asked at the same time was first, and its specification may have been changed.
    const now = this.#changeable(cache.name);
    const { spec } = now;
    const { kind, toLine, nodes, parallelShards } = wanted;
    // After an upgrade that was given up a node may be of another line than its cache: replaced, it stays so.
    const fromLine = kind === 'upgrade' ? spec.engineVersion : toLine;
    store.durable(() => {
      for (const [shard, copies] of this.#copies(now)) {
        store.shards.update(cache.id, shard, { replicas: copies - 1 });
      }
      store.replacements.insert({
        cacheId: cache.id,
        kind,
        fromLine,
        toLine,
        nodeIds: nodes.map(({ id }) => id),
        parallelShards,
        surgeNodes,
        failure: null,
        startedAtMs: Date.now(),
      });
      store.updateCache(cache.id, {
        state: 'modifying',
        spec: kind === 'upgrade' ? { ...spec, engineVersion: toLine } : spec,
      });
      // With it, or a daemon that is killed now would never tell.
      journal.event(cache.name, ...startWords(cache, wanted));
    });
    this.#deps.publish();
    const done = waiters.wait(cache.id, report);
    report({ type: 'progress', step: `Replacing ${nodeWords(nodes)}`, fraction: 0 });
    lanes.lookAtReplacement(cache.id);
    await done;
  }

  /**
   * How many nodes more than its copies a shard may have: as many as it has, or what there is memory for.
   *
   * @throws ControlError when there is no room for one
   */
  async #surge(cache: CacheRecord, { nodes, parallelShards }: Wanted): Promise<number> {
    const { fleet, store } = this.#deps;
    const nodeBytes = Math.max(
      ...nodes.map(({ id }) => fleet.observation(id)?.usedMemoryBytes ?? 0),
    );
    const hosts = await fleet.hosts.capacities(store);
    const freeMemoryBytes = hosts.reduce((sum, { capacity }) => sum + capacity.freeMemoryBytes, 0);
    const shards = Math.min(parallelShards, new Set(nodes.map(({ shard }) => shard)).size);
    const room = Math.floor(freeMemoryBytes / ((nodeBytes + NODE_OVERHEAD_BYTES) * shards));
    if (room < 1) {
      throw new ControlError(
        'ServiceUnavailable',
        `there is no memory for a new node beside the old one: ${shards} of ${nodeBytes} bytes are needed, ${freeMemoryBytes} are free`,
      );
    }
    return Math.min(room, Math.max(...this.#copies(cache).values()));
  }

  /**
   * Copies of the data, by shard, that there are to be all the time: what is asked for, which may have changed since the
   * shard was made, and what it has above that, for a hot key say. Too many are removed afterwards, by whoever plans that.
   */
  #copies(cache: CacheRecord): Map<number, number> {
    const nodes = this.#nodes(cache);
    return new Map(
      this.#deps.store.shards.of(cache.id).map(({ shard }) => {
        const present = nodes.filter((node) => node.shard === shard).length;
        return [shard, Math.max(1 + cache.spec.replicas, present)];
      }),
    );
  }

  /** Where the older engine cannot take what is there: said before anything is begun. */
  async #refuseImpossible(
    cache: CacheRecord,
    toLine: EngineLine,
    nodes: readonly NodeRecord[],
  ): Promise<void> {
    const newer = nodes.filter(
      ({ role, engineLine }) => role === 'primary' && isOlderLine(toLine, engineLine),
    );
    for (const node of newer) {
      const info = parseInfo(String(await this.#deps.fleet.call(node.id, ['INFO', 'keyspace'])));
      const why = whyNotBack(info, cache.spec.sharding, toLine);
      if (why === null) continue;
      throw new ControlError(
        'InvalidParameterCombination',
        `cache ${cache.name} cannot go back from Valkey ${node.engineLine} to ${toLine}: ${why}`,
      );
    }
  }
}

/** @param keyspace INFO keyspace of a primary of a newer line */
function whyNotBack(
  keyspace: ReadonlyMap<string, string>,
  sharding: boolean,
  toLine: EngineLine,
): string | null {
  for (const [database, fields] of keyspace) {
    if (!/^db\d+$/.test(database)) continue;
    const volatileHashes = Number(/keys_with_volatile_items=(\d+)/.exec(fields)?.[1] ?? 0);
    if (volatileHashes > 0) {
      return `hashes have fields with a time to live (${volatileHashes} of them), which ${toLine} cannot load`;
    }
    if (sharding && database !== 'db0' && toLine !== '9.1') {
      return `there are keys in database ${database.slice(2)}, and Valkey ${toLine} has only database 0 in cluster mode`;
    }
  }
  return null;
}

function nodeWords(nodes: readonly NodeRecord[]): string {
  return nodes.length === 1 ? '1 node' : `${nodes.length} nodes`;
}

function startWords(cache: CacheRecord, { kind, toLine, nodes }: Wanted): [string, string] {
  const { engineVersion } = cache.spec;
  const { event } = REPLACEMENT_WORDS[kind].started;
  if (kind === 'upgrade') {
    return [
      event,
      `cache ${cache.name} is taken from Valkey ${engineVersion} to ${toLine}: ${nodeWords(nodes)} ${nodes.length === 1 ? 'is' : 'are'} replaced`,
    ];
  }
  if (kind === 'drain') {
    return [
      event,
      `${nodes.length} nodes of cache ${cache.name} are replaced by nodes on other hosts: ${nodes[0]!.hostId} is drained`,
    ];
  }
  if (kind === 'replace') {
    return [event, `node ${nodes[0]!.id} of cache ${cache.name} is replaced`];
  }
  return [
    event,
    `${nodeWords(nodes)} of cache ${cache.name} ${nodes.length === 1 ? 'is' : 'are'} restarted`,
  ];
}
