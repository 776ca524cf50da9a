/** What the control plane's state is made of, and how it stands in the rows of the state file. */
import type { SlotRange } from '../model/slot-range.ts';
import type { SQLOutputValue } from 'node:sqlite';
import type { CacheState } from '../model/admin-api.ts';
import { cacheSpecSchema, type CacheSpec, type EngineLine } from '../model/cache-spec.ts';
import type { CacheUser } from '../model/user.ts';
import { rangesOf } from './slot-ranges.ts';
import type { Step } from './step.ts';

export type Row = Record<string, SQLOutputValue>;

/** One cache as control keeps it: what was asked for, and what was chosen for it. */
export interface CacheRecord {
  readonly id: string;
  readonly name: string;
  readonly spec: CacheSpec;
  readonly state: CacheState;
  readonly reason: string | null;
  readonly createdAtMs: number;
  readonly port: number;
  readonly readerPort: number;
  readonly systemSecret: string;
  readonly virtualPrimaryId: string;
  readonly virtualReaderId: string;
  readonly engineFullVersion: string | null;
  /** Slots were handed out (sharded) or replicas attached once: from then on, what a lost node held is not given again. */
  readonly formed: boolean;
  /** Grows with every change of users; a node whose own is lower still has the old rules. */
  readonly aclVersion: number;
}

/**
 * Whether a node's cluster identity (nodes.conf) may be used when its process is started again. `stale`: it was a
 * primary that was replaced; started with it, it would come up empty and claim its slots, so it must join anew.
 */
export type NodeIdentity = 'none' | 'kept' | 'stale';

export interface NodeRecord {
  readonly id: string;
  readonly cacheId: string;
  readonly shard: number;
  readonly role: 'primary' | 'replica';
  readonly port: number;
  readonly busPort: number;
  readonly clusterNodeId: string | null;
  readonly identity: NodeIdentity;
  readonly restarts: number;
  readonly aclVersion: number;
  /** It was stopped in order, with all others: its next start is no restart. */
  readonly stopped: boolean;
  /** The machine it runs on (Host.id). */
  readonly hostId: string;
  /** The engine it runs, or will when it is started again; while a cache is upgraded its nodes differ. */
  readonly engineLine: EngineLine;
  /** It is being taken out of its shard: nobody starts it, follows it or reads from it any more. */
  readonly leaving: boolean;
  /** The id under which a step asked for it, where that is not its own: a warm node has one already. */
  readonly askedAs: string | null;
}

/**
 * `joining`: its nodes are on their way into the cluster. `serving`: it may own slots. `draining`: it gives its slots away
 * and is removed when it has none.
 */
export type ShardState = 'joining' | 'serving' | 'draining';

/** What a shard is meant to be. Its number is an identity: it is never given again while the cache lives, and has gaps. */
export interface ShardRecord {
  readonly cacheId: string;
  readonly shard: number;
  readonly state: ShardState;
  /** The slots its primary was last seen to own. The engine is the truth; this is for the day on which it has lost it. */
  readonly slots: readonly SlotRange[];
  /** How many replicas it is to have. */
  readonly replicas: number;
  readonly ioThreads: number;
  /** Of each of its nodes; 0: no limit. */
  readonly maxmemoryBytes: number;
}

/** A running engine that belongs to no cache yet. */
export interface WarmNodeRecord {
  readonly id: string;
  readonly hostId: string;
  readonly engineLine: EngineLine;
  readonly databases: number;
  readonly port: number;
  readonly busPort: number;
}

export interface StepRecord {
  readonly id: number;
  readonly cacheId: string;
  readonly lane: string;
  readonly step: Step;
  readonly reason: string;
}

/** A step as it is shown: with its alternatives, and what became of it. */
export interface FinishedStep extends StepRecord {
  readonly rejected: readonly string[];
  readonly state: 'running' | 'done' | 'failed';
  readonly error: string | null;
  readonly startedAtMs: number;
  readonly finishedAtMs: number | null;
}

export interface EventRecord {
  /** Grows from one event to the next, over restarts too. */
  readonly id: number;
  readonly atMs: number;
  readonly cache: string | null;
  readonly kind: string;
  readonly message: string;
}

function nullable(value: SQLOutputValue | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

export function toCache(row: Row): CacheRecord {
  return {
    id: String(row['id']),
    name: String(row['name']),
    spec: cacheSpecSchema.parse(JSON.parse(String(row['spec']))),
    state: String(row['state']) as CacheState,
    reason: nullable(row['reason']),
    createdAtMs: Number(row['created_at_ms']),
    port: Number(row['port']),
    readerPort: Number(row['reader_port']),
    systemSecret: String(row['system_secret']),
    virtualPrimaryId: String(row['virtual_primary_id']),
    virtualReaderId: String(row['virtual_reader_id']),
    engineFullVersion: nullable(row['engine_full_version']),
    formed: Number(row['formed']) === 1,
    aclVersion: Number(row['acl_version']),
  };
}

export function toNode(row: Row): NodeRecord {
  return {
    id: String(row['id']),
    cacheId: String(row['cache_id']),
    shard: Number(row['shard']),
    role: String(row['role']) as NodeRecord['role'],
    port: Number(row['port']),
    busPort: Number(row['bus_port']),
    clusterNodeId: nullable(row['cluster_node_id']),
    identity: String(row['identity']) as NodeIdentity,
    restarts: Number(row['restarts']),
    aclVersion: Number(row['acl_version']),
    stopped: Number(row['stopped']) === 1,
    hostId: String(row['host_id']),
    engineLine: String(row['engine_line']) as EngineLine,
    leaving: Number(row['leaving']) === 1,
    askedAs: nullable(row['asked_as']),
  };
}

export function toShard(row: Row): ShardRecord {
  return {
    cacheId: String(row['cache_id']),
    shard: Number(row['shard']),
    state: String(row['state']) as ShardState,
    slots: rangesOf(String(row['slots'])),
    replicas: Number(row['replicas']),
    ioThreads: Number(row['io_threads']),
    maxmemoryBytes: Number(row['maxmemory_bytes']),
  };
}

export function toWarmNode(row: Row): WarmNodeRecord {
  return {
    id: String(row['id']),
    hostId: String(row['host_id']),
    engineLine: String(row['engine_line']) as EngineLine,
    databases: Number(row['databases']),
    port: Number(row['port']),
    busPort: Number(row['bus_port']),
  };
}

export function toUser(row: Row): CacheUser {
  return {
    name: String(row['name']),
    enabled: Number(row['enabled']) === 1,
    nopass: Number(row['nopass']) === 1,
    passwordHashes: JSON.parse(String(row['password_hashes'])) as string[],
    rules: String(row['rules']),
    upstreamSecret: String(row['upstream_secret']),
  };
}

export function toStep(row: Row): StepRecord {
  return {
    id: Number(row['id']),
    cacheId: String(row['cache_id']),
    lane: String(row['lane']),
    step: JSON.parse(String(row['step'])) as Step,
    reason: String(row['reason']),
  };
}

export function toFinishedStep(row: Row): FinishedStep {
  return {
    ...toStep(row),
    rejected: JSON.parse(String(row['rejected'])) as string[],
    state: String(row['state']) as FinishedStep['state'],
    error: nullable(row['error']),
    startedAtMs: Number(row['started_at_ms']),
    finishedAtMs: row['finished_at_ms'] === null ? null : Number(row['finished_at_ms']),
  };
}

export function toEvent(row: Row): EventRecord {
  return {
    id: Number(row['id']),
    atMs: Number(row['at_ms']),
    cache: nullable(row['cache']),
    kind: String(row['kind']),
    message: String(row['message']),
  };
}
