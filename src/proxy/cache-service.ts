/** One cache on this proxy: its router, its sessions, its users. */
import type { TopologyCache } from '../model/topology.ts';
import type { CacheUser } from '../model/user.ts';
import { RequestScanner } from '../protocol/request-scanner.ts';
import { CacheRouter, type RouterParts } from './routing/cache-router.ts';
import type { ClientMemory } from './io/client-memory.ts';
import { Login } from './login.ts';
import { NO_PEERS, type Peers } from './peers/peer-link.ts';
import { scriptOfPeers } from './peers/peer-scripts.ts';
import { DiscardSink } from './routing/request-sink.ts';
import { Permissions } from './permissions.ts';
import { PubSubHub } from './pubsub/pubsub-hub.ts';
import type { Session } from './session.ts';
import type { SessionCommands } from './session-commands.ts';
import { SlotWitness } from './routing/slot-witness.ts';

export class CacheService {
  readonly router: CacheRouter;
  readonly sessions = new Map<number, Session>();
  readonly commands: SessionCommands;
  readonly discard: DiscardSink;
  readonly hub: PubSubHub;
  readonly login: Login;
  readonly witness: SlotWitness;
  readonly permissions: Permissions;
  readonly memory: ClientMemory;
  /** One for all sessions: a scan never spans two events. */
  readonly scanner = new RequestScanner();
  readonly proxyIndex: number;
  /** The other proxies of this machine. */
  readonly peers: Peers;
  #users: Map<string, CacheUser>;

  constructor(
    cache: TopologyCache,
    commands: SessionCommands,
    proxyIndex: number,
    parts: RouterParts & { readonly memory: ClientMemory },
    peers: Peers = NO_PEERS,
  ) {
    this.router = new CacheRouter(cache, {
      ...parts,
      peerScript: (sha) => scriptOfPeers(peers, cache.name, sha),
    });
    this.commands = commands;
    this.memory = parts.memory;
    this.proxyIndex = proxyIndex;
    this.peers = peers;
    this.discard = new DiscardSink((request) => parts.pool.give(request));
    this.login = new Login(this);
    this.witness = new SlotWitness(this.router);
    this.permissions = new Permissions(this.router);
    this.hub = new PubSubHub(this);
    this.#users = usersByName(cache);
    this.scanner.bulkMaximumBytes = cache.limits.bulkMaximumBytes;
  }

  get cache(): TopologyCache {
    return this.router.cache;
  }

  /** Full version of the engine, as the nodes say it. */
  get engineVersion(): string {
    return this.router.engineVersion;
  }

  user(name: string): CacheUser | undefined {
    return this.#users.get(name);
  }

  /** Takes a newer picture of the cache; sessions of users that are gone are closed, as the engine does on DELUSER. */
  update(cache: TopologyCache): void {
    this.#users = usersByName(cache);
    this.scanner.bulkMaximumBytes = cache.limits.bulkMaximumBytes;
    this.router.update(cache);
    this.permissions.forget();
    for (const session of this.sessions.values()) {
      if (session.authenticated && !this.#users.has(session.client.user)) session.destroy();
    }
  }

  forget(session: Session): void {
    this.sessions.delete(session.id);
    this.router.meter.connections--;
    this.commands.onClosed(session);
    if (session.lane !== null) session.lane.sessions--;
    this.router.connections.bounded.endAbandoned();
  }

  close(): void {
    for (const session of this.sessions.values()) session.destroy();
    this.hub.close();
    this.router.close();
  }
}

function usersByName(cache: TopologyCache): Map<string, CacheUser> {
  return new Map(cache.users.map((user) => [user.name, user]));
}
