/**
 * What a proxy does with each command: forwarded, split, fanned out, answered by the proxy, given a connection of its own,
 * or refused. It follows from the engine's table; the lists below hold only what the table cannot say. The generated
 * `docs/commands.md` prints this for every command.
 */
import {
  FLAG_BLOCKING,
  FLAG_READONLY,
  FLAG_WRITE,
  type Command,
} from '../protocol/command-table.ts';
import type { CommandGroup } from '../model/usage.ts';

/** Goes to the node that owns its first key; without keys to any primary, always the same one for a session. */
export const PLAN_FORWARD = 0;
/** Each key goes to its own shard, the replies are put together (`request_policy:multi_shard`). */
export const PLAN_SPLIT = 1;
/** Goes to every shard, the replies are put together (`all_shards`, `all_nodes`). */
export const PLAN_FANOUT = 2;
/** The proxy answers, perhaps with questions to nodes. */
export const PLAN_PROXY = 3;
/** May block: a connection of its own while it does. */
export const PLAN_BLOCKING = 4;
/** Would break the service for others. */
export const PLAN_REFUSED = 5;

export type PlanKind = 0 | 1 | 2 | 3 | 4 | 5;

export interface CommandPlan {
  readonly kind: PlanKind;
  readonly group: CommandGroup;
  /** Twice is as good as once: sent again when its outcome is unknown (DESIGN, decision 5). */
  readonly repeatable: boolean;
}

/** Refused, and why. `container` alone names a container whose every subcommand is refused. */
export const REFUSED_COMMANDS: Readonly<Record<string, string>> = {
  'config|set': 'settings belong to the cache: springtide create, modify',
  'config|rewrite': 'settings belong to the cache',
  'config|resetstat': 'would zero the statistics of everybody',
  shutdown: 'stops a node: springtide down, delete',
  replicaof: 'replication belongs to the control plane',
  slaveof: 'replication belongs to the control plane',
  failover: 'springtide failover',
  migrate: 'opens connections from a node to anywhere',
  debug: 'can crash or stop a node',
  save: 'blocks a node; snapshots belong to the control plane',
  bgsave: 'snapshots belong to the control plane',
  bgrewriteaof: 'persistence belongs to the control plane',
  sync: 'turns the connection into a replication link',
  psync: 'turns the connection into a replication link',
  replconf: 'turns the connection into a replication link',
  'restore-asking': 'internal to slot migration',
  'module|load': 'loads code into a node',
  'module|loadex': 'loads code into a node',
  'module|unload': 'unloads code from a node',
  'acl|setuser': 'springtide user create, modify',
  'acl|deluser': 'springtide user delete',
  'acl|load': 'users belong to the control plane',
  'acl|save': 'users belong to the control plane',
  'client|pause': 'would stop everybody who shares the connection',
  'client|unpause': 'see CLIENT PAUSE',
  'script|debug': 'stops a node',
  pfdebug: 'internal',
  pfselftest: 'internal',
  'cluster|addslots': 'slots belong to the control plane',
  'cluster|addslotsrange': 'slots belong to the control plane',
  'cluster|bumpepoch': 'slots belong to the control plane',
  'cluster|cancelslotmigrations': 'slots belong to the control plane',
  'cluster|delslots': 'slots belong to the control plane',
  'cluster|delslotsrange': 'slots belong to the control plane',
  'cluster|failover': 'springtide failover',
  'cluster|flushslot': 'slots belong to the control plane',
  'cluster|flushslots': 'slots belong to the control plane',
  'cluster|forget': 'nodes belong to the control plane',
  'cluster|getslotmigrations': 'shows nodes that clients cannot reach',
  'cluster|meet': 'nodes belong to the control plane',
  'cluster|migrateslots': 'slots belong to the control plane',
  'cluster|replicate': 'nodes belong to the control plane',
  'cluster|reset': 'nodes belong to the control plane',
  'cluster|saveconfig': 'nodes belong to the control plane',
  'cluster|set-config-epoch': 'nodes belong to the control plane',
  'cluster|setslot': 'slots belong to the control plane',
  'cluster|syncslots': 'internal to slot migration',
};

/** Answered by the proxy although the table would let them be forwarded: they speak of the connection or of all nodes. */
export const PROXY_COMMANDS: ReadonlySet<string> = new Set([
  'acl|getuser', 'acl|list', 'acl|log', 'acl|users', 'asking', 'auth', 'clusterscan',
  'client|caching', 'client|capa', 'client|getname', 'client|getredir', 'client|id', 'client|import-source',
  'client|info', 'client|kill', 'client|list', 'client|no-evict', 'client|no-touch', 'client|reply',
  'client|setinfo', 'client|setname', 'client|tracking', 'client|trackinginfo', 'client|unblock',
  'cluster|count-failure-reports', 'cluster|countkeysinslot', 'cluster|getkeysinslot', 'cluster|info',
  'cluster|links', 'cluster|myid', 'cluster|myshardid', 'cluster|nodes', 'cluster|replicas', 'cluster|shards',
  'cluster|slaves', 'cluster|slot-stats', 'cluster|slots', 'commandlog|get', 'config|get', 'discard', 'echo', 'exec',
  'function|kill', 'function|stats', 'hello', 'info', 'latency|doctor', 'latency|graph', 'latency|histogram',
  'latency|history', 'latency|latest', 'memory|doctor', 'memory|malloc-stats', 'memory|stats', 'monitor', 'msetex', 'multi',
  'ping', 'psubscribe', 'publish', 'pubsub|channels', 'pubsub|numpat', 'pubsub|numsub', 'pubsub|shardchannels',
  'pubsub|shardnumsub', 'punsubscribe', 'quit', 'randomkey', 'readonly', 'readwrite', 'reset', 'role', 'scan',
  'script|kill', 'select', 'slowlog|get', 'spublish', 'ssubscribe', 'subscribe', 'sunsubscribe', 'unsubscribe', 'unwatch', 'wait',
  'waitaof', 'watch',
]); // prettier-ignore

/** Of these, the ones that only put several nodes' answers together: an unsharded cache forwards them to its one node. */
const MERGED_COMMANDS: ReadonlySet<string> = new Set([
  'acl|log', 'clusterscan', 'commandlog|get', 'function|stats', 'latency|doctor', 'latency|graph', 'latency|histogram',
  'latency|history', 'latency|latest', 'memory|doctor', 'memory|malloc-stats', 'memory|stats', 'msetex', 'randomkey', 'scan',
  'slowlog|get',
]); // prettier-ignore

/** In an unsharded cache as well: no node gets it from another, and one that takes over must have the script. */
const EVERY_NODE_COMMANDS: ReadonlySet<string> = new Set(['script|flush', 'script|load']);

/** The plan for `command` in a sharded or an unsharded cache. Pure. */
export function planCommand(command: Command, sharding: boolean): CommandPlan {
  const kind = kindOf(command, sharding);
  return { kind, group: groupOf(command, kind), repeatable: isRepeatable(command) };
}

function kindOf(command: Command, sharding: boolean): PlanKind {
  if (command.name in REFUSED_COMMANDS) return PLAN_REFUSED;
  if (PROXY_COMMANDS.has(command.name)) {
    const merely = MERGED_COMMANDS.has(command.name) || command.name.startsWith('cluster|');
    return merely && !sharding ? PLAN_FORWARD : PLAN_PROXY;
  }
  if (command.flags & FLAG_BLOCKING) return PLAN_BLOCKING;
  if (!sharding) return EVERY_NODE_COMMANDS.has(command.name) ? PLAN_FANOUT : PLAN_FORWARD;
  switch (command.requestPolicy) {
    case 'multi_shard':
      return PLAN_SPLIT;
    case 'all_shards':
    case 'all_nodes':
      return PLAN_FANOUT;
    default:
      return PLAN_FORWARD;
  }
}

function groupOf(command: Command, kind: PlanKind): CommandGroup {
  const container = command.name.split('|', 1)[0]!;
  if (kind === PLAN_BLOCKING) return 'blocking';
  if (['multi', 'exec', 'discard', 'watch', 'unwatch'].includes(container)) return 'transaction';
  if (
    [
      'eval',
      'evalsha',
      'eval_ro',
      'evalsha_ro',
      'fcall',
      'fcall_ro',
      'script',
      'function',
    ].includes(container)
  ) {
    return 'script';
  }
  if (command.categories.includes('@pubsub')) return 'pubsub';
  if (command.requestPolicy === 'multi_shard') return 'multikey';
  if (command.flags & FLAG_WRITE) return 'write';
  if (command.keySpecs.length > 0 && command.flags & FLAG_READONLY) return 'read';
  return 'admin';
}

/** Read-only by the table. PUBLISH, EVAL and the like are neither read-only nor writes there: not repeated blindly. */
function isRepeatable(command: Command): boolean {
  if (command.flags & FLAG_WRITE) return false;
  return (
    (command.flags & FLAG_READONLY) !== 0 ||
    ['echo', 'ping', 'time', 'lolwut', 'script|exists', 'script|load', 'script|show'].includes(
      command.name,
    )
  );
}
