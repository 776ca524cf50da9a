/**
 * What a node says of itself, read from INFO and CLUSTER NODES. Pure text parsing; no judgement (policies/ judges).
 */
import type { SlotRange } from '../model/slot-range.ts';

/** One node as another one knows it (CLUSTER NODES, src/cluster_legacy.c clusterGenNodeDescription). */
export interface ClusterPeer {
  readonly id: string;
  readonly port: number;
  readonly myself: boolean;
  readonly role: 'primary' | 'replica';
  /** `fail`: the quorum gave it up; `fail?`: this node alone cannot reach it. */
  readonly failed: boolean;
  readonly handshake: boolean;
  readonly noAddress: boolean;
  /** Id of the primary it follows; null for a primary. */
  readonly primaryId: string | null;
  readonly configEpoch: number;
  readonly slots: number;
  readonly slotRanges: readonly SlotRange[];
  /** Of `myself` alone: slots that are on their way by CLUSTER SETSLOT, from this node or to it. */
  readonly marks: readonly SlotMark[];
}

/** A slot that moves key by key, as one of its two ends has it (`[93->-id]`, `[77-<-id]`). */
export interface SlotMark {
  readonly slot: number;
  readonly kind: 'migrating' | 'importing';
  /** Cluster id of the other end. */
  readonly peerId: string;
}

export interface NodeObservation {
  /** When it was asked. */
  readonly atMs: number;
  readonly role: 'primary' | 'replica';
  /** Replica: port of its primary. */
  readonly primaryPort: number | null;
  readonly linkUp: boolean;
  readonly syncing: boolean;
  readonly loading: boolean;
  /** Replica: bytes applied; primary: bytes produced. */
  readonly offset: number;
  /** Primary: offset acknowledged by each online replica, by the replica's port. */
  readonly replicaOffsets: ReadonlyMap<number, number>;
  /**
   * Commands of its primary that a replica could not execute, since its process started: writes that it has missed, though
   * its link is up and its offset right (`unexpected_error_replies`, networking.c afterErrorReply).
   */
  readonly missedWrites: number;
  /** Primary: copies begun for replicas since its process started. */
  readonly fullSyncs: number;
  readonly usedMemoryBytes: number;
  /** Limit of the above; 0: none. */
  readonly memoryMaximumBytes: number;
  /** Of it, the data without the engine's own structures. */
  readonly datasetBytes: number;
  /** What the process has from the system. */
  readonly residentBytes: number;
  /** Microseconds in which the main thread worked, since the process started (9.x; before: its event loop's). */
  readonly activeUs: number;
  /** Bytes since the process started, of clients and of replication. */
  readonly networkInBytes: number;
  readonly networkOutBytes: number;
  /** Setting io-threads; null: not asked. */
  readonly ioThreads: number | null;
  readonly keys: number;
  /** Counters since the process started. */
  readonly hits: number;
  readonly misses: number;
  readonly evictedKeys: number;
  readonly expiredKeys: number;
  readonly version: string | null;
  /** `mark` changes with most changes of the libraries. */
  readonly functions: { readonly libraries: number; readonly mark: string };
}

export type InfoFields = ReadonlyMap<string, string>;

export function parseInfo(text: string): InfoFields {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0 && line[0] !== '#') fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

/** From INFO with the sections server, memory, persistence, stats, replication, cpu and keyspace. */
export function observationOf(
  info: InfoFields,
  atMs = 0,
  ioThreads: number | null = null,
): NodeObservation {
  const number = (name: string) => Number(info.get(name) ?? 0);
  const replica = info.get('role') === 'slave';
  const replicaOffsets = new Map<number, number>();
  let keys = 0;
  for (const [name, value] of info) {
    if (/^slave\d+$/.test(name)) {
      const parts = assignments(value);
      if (parts.get('state') === 'online') {
        replicaOffsets.set(Number(parts.get('port')), Number(parts.get('offset')));
      }
    } else if (/^db\d+$/.test(name)) {
      keys += Number(assignments(value).get('keys') ?? 0);
    }
  }
  return {
    atMs,
    role: replica ? 'replica' : 'primary',
    primaryPort: replica ? Number(info.get('master_port')) : null,
    linkUp: info.get('master_link_status') === 'up',
    syncing: info.get('master_sync_in_progress') === '1',
    loading: info.get('loading') === '1' || info.get('async_loading') === '1',
    offset: Number(info.get(replica ? 'slave_repl_offset' : 'master_repl_offset') ?? 0),
    replicaOffsets,
    usedMemoryBytes: number('used_memory'),
    memoryMaximumBytes: number('maxmemory'),
    datasetBytes: number('used_memory_dataset'),
    residentBytes: number('used_memory_rss'),
    activeUs: info.has('used_active_time_main_thread')
      ? number('used_active_time_main_thread') * 1e6
      : number('eventloop_duration_sum'),
    networkInBytes: number('total_net_input_bytes') + number('total_net_repl_input_bytes'),
    networkOutBytes: number('total_net_output_bytes') + number('total_net_repl_output_bytes'),
    ioThreads,
    missedWrites: number('unexpected_error_replies'),
    fullSyncs: number('sync_full'),
    keys,
    hits: Number(info.get('keyspace_hits') ?? 0),
    misses: Number(info.get('keyspace_misses') ?? 0),
    evictedKeys: Number(info.get('evicted_keys') ?? 0),
    expiredKeys: Number(info.get('expired_keys') ?? 0),
    version: info.get('valkey_version') ?? info.get('redis_version') ?? null,
    functions: {
      libraries: Number(info.get('number_of_libraries') ?? 0),
      mark: ['number_of_libraries', 'number_of_functions', 'used_memory_functions']
        .map((name) => info.get(name) ?? '')
        .join(' '),
    },
  };
}

export function parseClusterNodes(text: string): ClusterPeer[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', address = '', flagText = '', primary = '-', , , epoch = '0', , ...slots] =
        line.split(' ');
      const flags = new Set(flagText.split(','));
      const slotRanges = parseRanges(slots);
      return {
        id,
        port: Number(/:(\d+)@/.exec(address)?.[1] ?? 0),
        myself: flags.has('myself'),
        role: flags.has('slave') ? ('replica' as const) : ('primary' as const),
        failed: flags.has('fail'),
        handshake: flags.has('handshake'),
        noAddress: flags.has('noaddr'),
        primaryId: primary === '-' ? null : primary,
        configEpoch: Number(epoch),
        slots: slotRanges.reduce((sum, { first, last }) => sum + last - first + 1, 0),
        slotRanges,
        marks: parseMarks(slots),
      };
    });
}

function parseMarks(words: readonly string[]): SlotMark[] {
  return words.flatMap((word) => {
    const match = /^\[(\d+)-([<>])-(\w+)\]$/.exec(word);
    if (match === null) return [];
    const kind = match[2] === '>' ? 'migrating' : 'importing';
    return [{ slot: Number(match[1]), kind, peerId: match[3]! }];
  });
}

/** Reads `5`, `0-99`; slots on the move (`[93->-id]`) are still where they were. */
function parseRanges(words: readonly string[]): SlotRange[] {
  return words
    .filter((word) => !word.startsWith('['))
    .map((word) => {
      const [first = 0, last = first] = word.split('-').map(Number);
      return { first, last };
    });
}

function assignments(text: string): Map<string, string> {
  return new Map(
    text.split(',').map((part) => {
      const [name = '', value = ''] = part.split('=');
      return [name, value];
    }),
  );
}
