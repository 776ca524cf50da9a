/** The record of a node that has never run. */
import type { NodeRecord } from './store-records.ts';

type Chosen = Pick<
  NodeRecord,
  'id' | 'cacheId' | 'shard' | 'role' | 'port' | 'busPort' | 'hostId' | 'engineLine'
>;

/** @param askedAs the id under which a step asked for it; null: its own */
export function newNodeRecord(
  { id, cacheId, shard, role, port, busPort, hostId, engineLine }: Chosen,
  askedAs: string | null = null,
): NodeRecord {
  return {
    id,
    cacheId,
    shard,
    role,
    port,
    busPort,
    clusterNodeId: null,
    identity: 'none',
    restarts: 0,
    aclVersion: 0,
    stopped: false,
    hostId,
    engineLine,
    leaving: false,
    askedAs,
  };
}
