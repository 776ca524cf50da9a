/**
 * What users ask for hosts: to empty one, to take it back, to give up one that is gone. Checks, writes down, and leaves the
 * doing to HostDrain.
 */
import type { Host } from '../engine/host.ts';
import type { HostStatus } from '../model/admin-api.ts';
import type { CacheLookup } from './cache-lookup.ts';
import { ControlError } from './control-error.ts';
import type { Fleet } from './fleet.ts';
import { drainOf } from './host-drain.ts';
import type { Journal } from './journal.ts';
import type { Lanes } from './lanes.ts';
import type { OperationWaiters, Report } from './operation-waiters.ts';
import { NODE_OVERHEAD_BYTES } from './replacement-admin.ts';
import type { Store } from './store.ts';
import type { NodeRecord } from './store-records.ts';

export interface HostAdminDependencies {
  readonly caches: CacheLookup;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly lanes: Lanes;
  readonly journal: Journal;
  readonly waiters: OperationWaiters;
}

export class HostAdmin {
  readonly #deps: HostAdminDependencies;

  constructor(deps: HostAdminDependencies) {
    this.#deps = deps;
  }

  /** Takes up what a daemon before this one has begun. */
  start(): void {
    const { store, fleet, lanes } = this.#deps;
    const known = new Set(fleet.hosts.all.map(({ id }) => id));
    for (const { hostId, drainedAtMs } of store.drains.all()) {
      // Left out of the hosts file: one that is named so later is another.
      if (!known.has(hostId)) store.drains.delete(hostId);
      else if (drainedAtMs === null) lanes.lookAtHost(hostId);
    }
  }

  list(): Promise<HostStatus[]> {
    return Promise.all(this.#deps.fleet.hosts.all.map((host) => this.#status(host)));
  }

  /**
   * Empties a host that can be reached; resolves when it has no nodes. It goes on when whoever asked goes away.
   *
   * @throws ControlError HostNotFound, InvalidHostState for one that cannot be reached, InvalidParameterCombination when
   *   the other hosts cannot take its nodes
   */
  async drain(hostId: string, report: Report): Promise<void> {
    const { caches, store } = this.#deps;
    caches.refuseWhileStopping();
    const host = this.#find(hostId);
    if (!(await this.#isReachable(host))) {
      throw new ControlError(
        'InvalidHostState',
        `host ${hostId} cannot be reached: what runs there cannot be asked for its data. If it is off for good, remove it`,
      );
    }
    await this.#refuseWithoutRoom(host);
    if (!store.drains.has(hostId)) {
      const nodes = this.#nodesOn(hostId);
      // Once more: of two that are drained at the same time each may have counted on the other.
      if (nodes.length > 0) this.#refuseWithoutHosts(host, nodes);
      this.#begin(hostId, false, nodes.length);
    }
    await this.#done(hostId, report);
  }

  /**
   * Takes the nodes of a host that cannot be reached as dead; resolves when others are in their places.
   *
   * @param dead the word of whoever asks that nothing runs there any more
   * @throws ControlError HostNotFound, InvalidHostState for one that can be reached, InvalidParameterCombination without
   *   that word, or when no other host takes nodes
   */
  async remove(hostId: string, dead: boolean, report: Report): Promise<void> {
    const { caches, store } = this.#deps;
    caches.refuseWhileStopping();
    const host = this.#find(hostId);
    if (await this.#isReachable(host)) {
      throw new ControlError(
        'InvalidHostState',
        `host ${hostId} can be reached: drain it, and leave it out of the hosts file then`,
      );
    }
    if (!dead) {
      throw new ControlError(
        'InvalidParameterCombination',
        `host ${hostId} cannot be reached, and its nodes may run and take writes: with their places given to others there would be two primaries, and what the old ones take would be lost. Make sure that it is off, then say so (--dead)`,
      );
    }
    const nodes = this.#nodesOn(hostId);
    if (nodes.length > 0) this.#refuseWithoutHosts(host, nodes);
    if (store.drains.get(hostId)?.dead !== true) {
      this.#begin(hostId, true, nodes.length);
    }
    await this.#done(hostId, report);
  }

  /** Has a host take nodes again. What is being moved off it goes on. @throws ControlError */
  async undrain(hostId: string): Promise<HostStatus> {
    const { caches, store, journal, lanes } = this.#deps;
    caches.refuseWhileStopping();
    const host = this.#find(hostId);
    if (store.drains.has(hostId)) {
      if (!(await this.#isReachable(host))) {
        throw new ControlError('InvalidHostState', `host ${hostId} cannot be reached`);
      }
      store.durable(() => {
        store.drains.delete(hostId);
        journal.event(null, 'host-undrained', `host ${hostId} takes nodes again`);
      });
      lanes.lookAtHost(hostId);
    }
    return this.#status(host);
  }

  #begin(hostId: string, dead: boolean, nodes: number): void {
    const { store, journal } = this.#deps;
    const record = { hostId, dead, nodes, startedAtMs: Date.now(), drainedAtMs: null };
    store.durable(() => {
      store.drains.put(record);
      journal.event(
        null,
        dead ? 'host-removed' : 'host-draining',
        dead
          ? `host ${hostId} is taken as dead, as somebody said: its ${nodes} nodes get successors on other hosts`
          : `host ${hostId} takes no nodes any more, and its ${nodes} nodes are replaced by nodes on other hosts`,
      );
    });
  }

  async #done(hostId: string, report: Report): Promise<void> {
    const { lanes, waiters } = this.#deps;
    const done = waiters.wait(drainOf(hostId), report);
    report({ type: 'progress', step: `Moving nodes off ${hostId}`, fraction: 0 });
    lanes.lookAtHost(hostId);
    await done;
  }

  /** @throws ControlError HostNotFound */
  #find(hostId: string): Host {
    const { all } = this.#deps.fleet.hosts;
    const host = all.find(({ id }) => id === hostId);
    if (host !== undefined) return host;
    const ids = all.map(({ id }) => id).join(', ');
    throw new ControlError('HostNotFound', `there is no host ${hostId}; there are ${ids}`);
  }

  /** Asks it: that it is lost may not be known yet, or no longer so. */
  async #isReachable({ id }: Host): Promise<boolean> {
    const { hosts } = this.#deps.fleet;
    await hosts.on(id, (host) => host.activity([])).catch(() => undefined);
    return !hosts.isLost(id);
  }

  #nodesOn(hostId: string): NodeRecord[] {
    return this.#deps.store.nodes().filter((node) => node.hostId === hostId);
  }

  async #refuseWithoutRoom(host: Host): Promise<void> {
    const { store, fleet } = this.#deps;
    const nodes = this.#nodesOn(host.id);
    if (nodes.length === 0 || store.drains.has(host.id)) return;
    this.#refuseWithoutHosts(host, nodes);
    const freeBytes = (await fleet.hosts.capacities(store))
      .filter(({ id }) => id !== host.id)
      .reduce((sum, { capacity }) => sum + capacity.freeMemoryBytes, 0);
    const neededBytes = nodes.reduce(
      (sum, { id }) => sum + (fleet.observation(id)?.usedMemoryBytes ?? 0) + NODE_OVERHEAD_BYTES,
      0,
    );
    if (neededBytes <= freeBytes) return;
    const megabytes = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
    throw new ControlError(
      'InvalidParameterCombination',
      `the nodes of host ${host.id} need ${megabytes(neededBytes)} elsewhere, and the other hosts have ${megabytes(freeBytes)} free`,
    );
  }

  #refuseWithoutHosts({ id }: Host, nodes: readonly NodeRecord[]): void {
    const { store, fleet } = this.#deps;
    if (fleet.hosts.open(store).some((other) => other.id !== id)) return;
    const closed = fleet.hosts.all.filter((other) => other.id !== id);
    const why = closed.length === 0 ? 'it is the only one' : fleet.hosts.whyClosed(closed);
    throw new ControlError(
      'InvalidParameterCombination',
      `no other host can take the ${nodes.length} nodes of host ${id}: ${why}`,
    );
  }

  async #status(host: Host): Promise<HostStatus> {
    const { store, fleet } = this.#deps;
    const { id, zone, address, cores } = host;
    const capacity = await fleet.hosts.on(id, (one) => one.capacity()).catch(() => null);
    const drain = store.drains.get(id);
    return {
      id,
      zone,
      address,
      state: drain?.dead
        ? 'removed'
        : fleet.hosts.isLost(id)
          ? 'lost'
          : drain === undefined
            ? 'reachable'
            : drain.drainedAtMs === null
              ? 'draining'
              : 'drained',
      nodes: this.#nodesOn(id).length,
      warmNodes: store.warm.all().filter(({ hostId }) => hostId === id).length,
      cores,
      freeMemoryBytes: fleet.hosts.isLost(id) ? null : (capacity?.freeMemoryBytes ?? null),
    };
  }
}
