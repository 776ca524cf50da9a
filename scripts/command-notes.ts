/** What docs/commands.md says beside the plan of a command: the differences that a user can meet, and AWS's word on it. */

const SPLIT_NOTE = 'each key at its own shard; not atomic across shards';
const SCRIPT_NOTE =
  'goes to the shard of its keys; keys of several slots get CROSSSLOT; without keys one shard runs it';

/** By full command name. */
export const COMMAND_NOTES: Readonly<Record<string, string>> = {
  mget: SPLIT_NOTE,
  mset: SPLIT_NOTE,
  del: SPLIT_NOTE,
  unlink: SPLIT_NOTE,
  exists: SPLIT_NOTE,
  touch: SPLIT_NOTE,
  msetnx: 'keys of one slot only, else CROSSSLOT: it promises all or nothing',
  msetex: 'keys of one slot only, else CROSSSLOT: it promises all or nothing',
  dbsize: 'the sum over the shards',
  flushall: 'every shard; not atomic across shards',
  flushdb: 'every shard; not atomic across shards',
  keys: 'of all shards in one reply; SCAN holds up nobody',
  scan: 'one cursor over all shards; what stays from beginning to end is returned also while slots move or primaries change. Unsharded: the node’s own cursor; before 9.1 it loses its meaning on a failover',
  clusterscan: 'asked of the owner of its cursor’s slot; empty replies in between are not shown',
  randomkey: 'of a shard taken at random, of another one when that is empty',
  info: 'one view of the cache: counters and sizes of the primaries added up, clients of the proxies; a shard that does not answer is left out; on the reader port, the work of the replicas',
  role: 'of the virtual node: a master without replicas; on the reader port a slave of the endpoint',
  wait: 'the smallest number over all shards; counted from a write of the system’s own that follows the client’s, so WAIT 0 may count less than a plain server',
  waitaof: 'the smallest numbers over all shards; see WAIT',
  multi:
    'commands are collected and sent as one batch at EXEC. In a sharded cache their keys are of one slot (CROSSSLOT when queued); what goes to every shard is not allowed inside. What the proxy answers (CLIENT, SUBSCRIBE, PUBSUB, CONFIG GET, INFO, ROLE …) is answered when the nodes have executed the rest, each in its place in EXEC’s reply; AUTH, HELLO, CLIENT TRACKING, CACHING and NO-TOUCH, which change how others are executed, are not allowed inside, nor is a PUBLISH after a SUBSCRIBE',
  watch:
    'takes a connection of its own until EXEC, DISCARD or UNWATCH; at most 1000 keys; aborts when its slot moves',
  monitor: 'the commands of every primary, merged; the addresses are the proxies’',
  publish: 'counts the subscribers of all proxies of the machine',
  spublish: 'counts the subscribers of all proxies of the machine',
  psubscribe: 'on one subscription for all clients of a user',
  'pubsub|channels': 'of the clients of all proxies of the machine',
  'pubsub|numpat': 'of the clients of all proxies of the machine',
  'pubsub|numsub': 'of the clients of all proxies of the machine',
  eval: SCRIPT_NOTE,
  evalsha: SCRIPT_NOTE,
  fcall: SCRIPT_NOTE,
  'script|load':
    'at every node; one that joins later, or begins anew, gets it before the first EVALSHA or transaction that wants it, as long as any node or proxy of the cache has it',
  'script|flush': 'at every node; the proxies forget what they know of scripts as well',
  'script|kill': 'over connections of its own to all shards',
  'function|load': 'at every shard',
  'function|kill': 'over connections of its own to all shards',
  'function|stats': 'the script that runs on any shard',
  'slowlog|get':
    'of all shards, newest first; ids are each node’s own, the client’s address is the proxy’s',
  'commandlog|get':
    'of all shards, newest first; ids are each node’s own, the client’s address is the proxy’s',
  'acl|log':
    'of all shards, newest first, what is alike put together; without logins, which the proxy checks; ids are each node’s own, the client’s address is the proxy’s',
  'latency|latest': 'the worst of the shards',
  'latency|history': 'the worst of the shards',
  'latency|histogram': 'the calls of all shards',
  'latency|graph': 'each shard’s',
  'latency|doctor': 'each shard’s',
  'memory|doctor': 'each shard’s',
  'memory|malloc-stats': 'each shard’s',
  'memory|stats': 'sizes added up, ratios computed again',
  'client|list':
    'the connections of all proxies of the machine, with what a proxy knows: fd is -1, buffers of the engine are 0. Filters are 9.1’s for every version',
  'client|kill': 'any connection to any proxy of the machine; filters as in CLIENT LIST',
  'client|no-evict':
    'when what all clients together make a proxy hold is too much, this client is cut only when no other is left to cut: what it holds counts like anybody’s; each client’s own limits hold',
  'client|import-source': 'refused as by a node that is not in import mode',
  'config|get':
    'without secrets and paths; port, bind, maxclients, databases, maxmemory and the limits are the cache’s',
  'acl|list': 'the cache’s users with the passwords that clients use',
  'acl|getuser': 'the cache’s users with the passwords that clients use',
  'acl|users': 'the cache’s users',
  'cluster|slots': 'one virtual node that owns all slots, and its reader',
  'cluster|shards': 'one virtual node that owns all slots, and its reader; replication-offset is 0',
  'cluster|nodes': 'one virtual node that owns all slots, and its reader; the bus port is 0',
  'cluster|info': 'of the virtual node: nothing of the bus',
  'cluster|links': 'empty: there is no bus to see',
  'cluster|slot-stats': 'of all shards, ordered and cut as by one node',
  select: 'databases of the engine; a sharded cache has them since 9.0',
  readonly: 'accepted; which port a client uses decides where it reads',
  asking: 'accepted and without effect: slots that move are the proxy’s business',
  hello: 'the id is the proxy’s',
};

/** A container whose commands are all alike, and commands by name (DG SupportedCommands.html). */
const AWS_YES: ReadonlySet<string> = new Set([
  'copy', 'del', 'dump', 'exists', 'expire', 'expireat', 'expiretime', 'persist', 'pexpire', 'pexpireat', 'pexpiretime',
  'pttl', 'randomkey', 'rename', 'renamenx', 'restore', 'scan', 'sort', 'sort_ro', 'touch', 'ttl', 'type', 'unlink',
  'eval', 'eval_ro', 'evalsha', 'evalsha_ro', 'script|exists', 'script|load', 'script|show', 'script|flush',
  'multi', 'exec', 'discard', 'watch', 'unwatch', 'info', 'dbsize', 'flushall', 'flushdb', 'lolwut', 'role', 'time',
  'acl|cat', 'acl|genpass', 'acl|getuser', 'acl|list', 'acl|users', 'acl|whoami', 'auth', 'hello', 'ping', 'quit', 'reset',
  'echo', 'select', 'readonly', 'readwrite', 'client|getname', 'client|setname', 'client|reply',
  'cluster|countkeysinslot', 'cluster|getkeysinslot', 'cluster|info', 'cluster|keyslot', 'cluster|myid', 'cluster|nodes',
  'cluster|replicas', 'cluster|shards', 'cluster|slots', 'cluster|slot-stats',
]); // prettier-ignore

const AWS_NO: ReadonlySet<string> = new Set([
  'acl|setuser', 'acl|load', 'acl|save', 'acl|deluser', 'acl|log', 'bgrewriteaof', 'bgsave', 'cluster|addslots',
  'cluster|addslotsrange', 'cluster|bumpepoch', 'cluster|delslots', 'cluster|delslotsrange', 'cluster|failover',
  'cluster|flushslots', 'cluster|forget', 'cluster|links', 'cluster|meet', 'cluster|setslot',
  'cluster|count-failure-reports', 'debug', 'migrate', 'psync', 'replicaof', 'save', 'slaveof', 'shutdown', 'sync',
  'client|caching', 'client|getredir', 'client|id', 'client|info', 'client|kill', 'client|list', 'client|no-evict',
  'client|pause', 'client|tracking', 'client|trackinginfo', 'client|unblock', 'client|unpause', 'fcall', 'fcall_ro', 'keys',
  'lastsave', 'monitor', 'move', 'pfdebug', 'pfselftest', 'psubscribe', 'punsubscribe', 'pubsub|numpat', 'script|kill',
  'swapdb', 'wait',
]); // prettier-ignore

const AWS_NO_CONTAINERS: ReadonlySet<string> = new Set([
  'config', 'function', 'latency', 'memory', 'object', 'slowlog', 'commandlog',
]); // prettier-ignore

/** Groups of which AWS supports every command. */
const AWS_YES_GROUPS: ReadonlySet<string> = new Set([
  'bitmap', 'string', 'hash', 'list', 'set', 'sorted-set', 'stream', 'geo', 'hyperloglog', 'pubsub',
]); // prettier-ignore

/** ElastiCache Serverless: `yes`, `no`, or empty where AWS does not say. */
export function onServerless(name: string, group: string): 'yes' | 'no' | '' {
  const container = name.split('|', 1)[0]!;
  if (AWS_NO.has(name) || AWS_NO_CONTAINERS.has(container)) return 'no';
  if (AWS_YES.has(name) || container === 'command' || AWS_YES_GROUPS.has(group)) return 'yes';
  return '';
}
