/** What a node's valkey.conf says, and why. Pure: settings in, text out. */
import { join } from 'node:path';
import type { EngineLine } from './engine-line.ts';

/** Everything about a node that its owner decides. Sizes in bytes. */
export interface NodeSettings {
  /** Names the node in logs and on disk; letters, digits, `-` and `_`. */
  readonly nodeId: string;
  readonly port: number;
  /** Addresses to listen on, loopback unless told otherwise. */
  readonly bind?: readonly string[];
  /** The node's own directory: configuration, cluster state, log. Absolute. */
  readonly dir: string;
  readonly clusterEnabled: boolean;
  /** Cluster bus port; the engine's rule, port + 10000, by default. */
  readonly clusterBusPort?: number;
  readonly clusterNodeTimeoutMs?: number;
  readonly ioThreads?: number;
  /** 0, the default, is no limit. */
  readonly maxmemoryBytes?: number;
  readonly maxmemoryPolicy?: string;
  readonly maxClients?: number;
  /** Databases for SELECT; in cluster mode from 9.0 on, where older engines have one. Default 16. */
  readonly databases?: number;
  /** A file of `user ...` lines; must exist when the node starts. Absolute. */
  readonly aclFile?: string;
  readonly logFile?: string;
  /** Also listens here: half the system call cost of TCP for a proxy on the same machine. */
  readonly unixSocketPath?: string;
  /** How a replica logs in to its primary: a user with REPLICATION_ACL_RULES. */
  readonly primaryUser?: string;
  readonly primaryPassword?: string;
  /**
   * A secret common to the nodes of one cache: SCAN cursors then keep their meaning on another node of the shard, after a
   * failover, and after a restart (9.1 and newer).
   */
  readonly hashSeed?: string;
  /** Further directives, last, so that they win; an array repeats the directive's arguments. */
  readonly extra?: Readonly<Record<string, string | readonly string[]>>;
}

/**
 * What the user of a replica's link must be allowed. SYNC is for the second connection of dual channel replication;
 * without it a replica asks for a full copy once a second and never gets it.
 */
export const REPLICATION_ACL_RULES = '+psync +sync +replconf +ping';

const MIB = 1024 * 1024;
/** After this long without an answer a node is called failed by those that ask it. */
export const CLUSTER_NODE_TIMEOUT_MS = 5_000;

/** Where a node's files lie; its configuration's path is also what identifies its process. */
export function nodeFiles(dir: string): {
  config: string;
  pid: string;
  log: string;
  state: string;
} {
  return {
    config: join(dir, 'valkey.conf'),
    pid: join(dir, 'valkey.pid'),
    log: join(dir, 'valkey.log'),
    state: join(dir, 'node.json'),
  };
}

/** Node ids become directory names and words of log lines. */
export function isNodeId(text: string): boolean {
  return /^[A-Za-z0-9][\w-]{0,127}$/.test(text);
}

/** The port of the node's cluster bus, or undefined for a node without one. */
export function clusterBusPort(settings: NodeSettings): number | undefined {
  if (!settings.clusterEnabled) return undefined;
  return settings.clusterBusPort ?? settings.port + 10_000;
}

/**
 * The replication backlog for a node of a given size: what a replica may miss and still continue without a full copy.
 * A sixteenth of the memory, between 16 MiB (the engine's 10 MB is 100 ms of a busy node) and 256 MiB; of a small node at
 * most a quarter, for the engine counts it as memory in use: a backlog as large as the limit leaves no room for keys.
 */
export function replBacklogBytes(maxmemoryBytes: number): number {
  if (maxmemoryBytes === 0) return 64 * MIB;
  const least = Math.min(16 * MIB, Math.floor(maxmemoryBytes / 4));
  return Math.min(256 * MIB, Math.max(least, Math.floor(maxmemoryBytes / 16)));
}

/**
 * Renders valkey.conf. Contains secrets: write it for the owner's eyes only.
 *
 * @throws RangeError for settings that no engine could start with
 */
export function renderNodeConfig(settings: NodeSettings, line: EngineLine): string {
  checkSettings(settings);
  const databases = String(settings.databases ?? 16);
  const directives = [
    ...identity(settings),
    ...network(settings),
    ...memory(settings),
    ...persistence(),
    ...replication(settings),
    ...(settings.clusterEnabled ? cluster(settings, line) : [['databases', databases]]),
    ...observability(),
    ...security(settings),
  ];
  if (line === '9.1' && settings.hashSeed !== undefined)
    directives.push(['hash-seed', settings.hashSeed]);
  for (const [name, value] of Object.entries(settings.extra ?? {})) {
    directives.push([name, ...(typeof value === 'string' ? [value] : value)]);
  }
  return `${directives.map((words) => words.map(quoteConfigWord).join(' ')).join('\n')}\n`;
}

/**
 * Quotes a word for valkey.conf, whose lines are split as sdssplitargs does (sds.c): double quotes, with backslash
 * escapes for what would end the word or the line.
 */
export function quoteConfigWord(word: string): string {
  if (/^[\w.:/@+,*&~%-]+$/.test(word)) return word;
  let quoted = '';
  for (const byte of Buffer.from(word)) {
    if (byte === 0x22 || byte === 0x5c) quoted += `\\${String.fromCharCode(byte)}`;
    else if (byte >= 0x20 && byte < 0x7f) quoted += String.fromCharCode(byte);
    else quoted += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `"${quoted}"`;
}

type Directive = string[];

function identity(settings: NodeSettings): Directive[] {
  const files = nodeFiles(settings.dir);
  return [
    ['dir', settings.dir],
    ['pidfile', files.pid],
    ['logfile', settings.logFile ?? files.log],
    ['loglevel', 'notice'],
    ['daemonize', 'no'],
    ['supervised', 'no'],
    // The process keeps its command line, and with it the path of this file: that is how it is told from a stranger
    // that got its pid.
    ['set-proc-title', 'no'],
    ['always-show-logo', 'no'],
    // A crash must end the process at once for the failover to begin; testing its memory first takes seconds.
    ['crash-memcheck-enabled', 'no'],
    // Nothing is saved, and a primary gives its replicas this long to catch up before it goes.
    ['shutdown-on-sigterm', 'nosave'],
    ['shutdown-on-sigint', 'nosave'],
    ['shutdown-timeout', '3'],
    ['io-threads', String(settings.ioThreads ?? 1)],
  ];
}

function network(settings: NodeSettings): Directive[] {
  const directives: Directive[] = [
    ['bind', ...(settings.bind ?? ['127.0.0.1'])],
    ['port', String(settings.port)],
    // The kernel caps it at net.core.somaxconn. Proxies that start together connect together.
    ['tcp-backlog', '4096'],
    ['tcp-keepalive', '60'],
    // Idle connections are the proxies' shared ones and the control plane's death detectors.
    ['timeout', '0'],
    ['maxclients', String(settings.maxClients ?? 10_000)],
  ];
  if (settings.unixSocketPath !== undefined) {
    directives.push(['unixsocket', settings.unixSocketPath], ['unixsocketperm', '700']);
  }
  return directives;
}

function memory(settings: NodeSettings): Directive[] {
  return [
    ['maxmemory', String(settings.maxmemoryBytes ?? 0)],
    // ElastiCache Serverless evicts so: least recently used keys among those with a time to live.
    ['maxmemory-policy', settings.maxmemoryPolicy ?? 'volatile-lru'],
    ['lazyfree-lazy-eviction', 'yes'],
    ['lazyfree-lazy-expire', 'yes'],
    ['lazyfree-lazy-server-del', 'yes'],
    ['lazyfree-lazy-user-del', 'yes'],
    ['lazyfree-lazy-user-flush', 'yes'],
    ['client-output-buffer-limit', 'normal', '0', '0', '0'],
    ['client-output-buffer-limit', 'replica', '512mb', '256mb', '60'],
    ['client-output-buffer-limit', 'pubsub', '64mb', '32mb', '60'],
  ];
}

/** A node is a cache: its copies are its replicas. Snapshots are taken elsewhere, on request. */
function persistence(): Directive[] {
  return [
    ['save', ''],
    ['appendonly', 'no'],
    ['stop-writes-on-bgsave-error', 'no'],
    ['rdb-del-sync-files', 'yes'],
  ];
}

function replication(settings: NodeSettings): Directive[] {
  const directives: Directive[] = [
    ['repl-diskless-sync', 'yes'],
    // Replicas are added one at a time here; waiting for more of them only prolongs the time without a copy.
    ['repl-diskless-sync-delay', '0'],
    // The old data is kept until the new copy is whole. With the other diskless ways a replica is empty meanwhile, and if
    // its primary dies then, the shard is lost. The price is memory for both on a replica that had data; a new replica
    // has none. (Through the disk, the third way, the data stays in memory until the file has arrived but is gone while
    // it loads, and disks fill.)
    ['repl-diskless-load', 'swapdb'],
    ['dual-channel-replication-enabled', 'yes'],
    ['repl-backlog-size', String(replBacklogBytes(settings.maxmemoryBytes ?? 0))],
    ['repl-backlog-ttl', '3600'],
    // Keeps idle links' offsets and lag fresh to the second: promotion goes by them.
    ['repl-ping-replica-period', '1'],
    ['repl-timeout', '60'],
    ['replica-serve-stale-data', 'yes'],
    ['replica-read-only', 'yes'],
  ];
  if (settings.primaryUser !== undefined) directives.push(['primaryuser', settings.primaryUser]);
  if (settings.primaryPassword !== undefined)
    directives.push(['primaryauth', settings.primaryPassword]);
  return directives;
}

function cluster(settings: NodeSettings, line: EngineLine): Directive[] {
  const directives: Directive[] = [
    ['cluster-enabled', 'yes'],
    ['cluster-config-file', 'nodes.conf'],
    ['cluster-port', String(clusterBusPort(settings))],
    ['cluster-node-timeout', String(settings.clusterNodeTimeoutMs ?? CLUSTER_NODE_TIMEOUT_MS)],
    // A shard without a primary must not take the others down with it.
    ['cluster-require-full-coverage', 'no'],
    ['cluster-allow-reads-when-down', 'yes'],
    ['cluster-allow-pubsubshard-when-down', 'yes'],
    // Which replica serves whom is the control plane's decision.
    ['cluster-allow-replica-migration', 'no'],
    // The last replica is promoted however long its link was down: old data beats none in a cache.
    ['cluster-replica-validity-factor', '0'],
    // 8.0.1 ends with an assertion where it is on: at the first write of a promoted replica that has no replicas itself,
    // in a slot that has sent nothing yet (cluster_slot_stats.c:147, the SELECT in front of it is taken off the slot's
    // bytes). That is every failover of a shard with one replica. 8.1 has it put right.
    ['cluster-slot-stats-enabled', line === '8.0' ? 'no' : 'yes'],
  ];
  if (line !== '9.1') {
    // All that they can; said, so that they do not warn about it.
    directives.push(['databases', '1']);
  } else {
    directives.push(['cluster-databases', String(settings.databases ?? 16)]);
    // A full disk then costs the saving of nodes.conf, not the node.
    directives.push(['cluster-config-save-behavior', 'best-effort']);
    // Twice this a source pauses its writes for a target that dies in the very moment of taking slots over
    // (CLUSTER_MF_PAUSE_MULT, cluster_migrateslots.c). The engine's 5 s make it 10 s, which clients do not wait for.
    directives.push(['cluster-manual-failover-timeout', '1000']);
  }
  return directives;
}

function observability(): Directive[] {
  return [
    ['latency-tracking', 'yes'],
    ['slowlog-log-slower-than', '10000'],
    ['slowlog-max-len', '1024'],
    ['notify-keyspace-events', ''],
    // Below a cache's default deadline: a proxy can tell a node that runs a long script (BUSY) from one that hangs.
    ['busy-reply-threshold', '4000'],
  ];
}

function security(settings: NodeSettings): Directive[] {
  const directives: Directive[] = [
    ['protected-mode', 'yes'],
    ['enable-debug-command', 'no'],
    ['enable-module-command', 'no'],
    ['enable-protected-configs', 'no'],
  ];
  if (settings.aclFile !== undefined) directives.push(['aclfile', settings.aclFile]);
  return directives;
}

function checkSettings(settings: NodeSettings): void {
  const { nodeId, dir } = settings;
  if (!isNodeId(nodeId)) throw new RangeError(`node id "${nodeId}" is not a plain name`);
  if (!dir.startsWith('/')) throw new RangeError(`node directory "${dir}" is not absolute`);
  for (const port of [settings.port, clusterBusPort(settings) ?? 1]) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new RangeError(`port ${port} is out of range`);
  }
}
