import assert from 'node:assert/strict';
import { test } from 'node:test';
import { observationOf, parseClusterNodes, parseInfo } from './node-observation.ts';

test('INFO of a replica', () => {
  const info = parseInfo(
    '# Replication\r\nrole:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:21002\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:1450\r\nmaster_repl_offset:9\r\nused_memory:1000\r\nvalkey_version:9.1.2\r\nkeyspace_hits:11\r\nkeyspace_misses:2\r\nevicted_keys:0\r\nexpired_keys:3\r\n# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\ndb5:keys=4,expires=1,avg_ttl=0\r\n',
  );
  assert.deepEqual(observationOf(info, 77, 2), {
    atMs: 77,
    memoryMaximumBytes: 0,
    datasetBytes: 0,
    residentBytes: 0,
    activeUs: 0,
    networkInBytes: 0,
    networkOutBytes: 0,
    ioThreads: 2,
    role: 'replica',
    primaryPort: 21002,
    linkUp: true,
    syncing: false,
    loading: false,
    offset: 1450,
    replicaOffsets: new Map(),
    usedMemoryBytes: 1000,
    keys: 7,
    hits: 11,
    misses: 2,
    evictedKeys: 0,
    expiredKeys: 3,
    functions: { libraries: 0, mark: '  ' },
    missedWrites: 0,
    fullSyncs: 0,
    version: '9.1.2',
  });
});

test('INFO of a primary: the offsets of replicas that are online', () => {
  const info = parseInfo(
    'role:master\r\nmaster_repl_offset:500\r\nslave0:ip=127.0.0.1,port=21004,state=online,offset=486,lag=0,type=replica\r\nslave1:ip=127.0.0.1,port=21006,state=wait_bgsave,offset=0,lag=0\r\nloading:0\r\nasync_loading:1\r\n',
  );
  const seen = observationOf(info);
  assert.equal(seen.role, 'primary');
  assert.equal(seen.offset, 500);
  assert.equal(seen.primaryPort, null);
  assert.equal(seen.loading, true);
  assert.deepEqual([...seen.replicaOffsets], [[21004, 486]]);
});

test('CLUSTER NODES: roles, failures, slots, also those on the move', () => {
  const text = [
    '07c3 127.0.0.1:30004@31004,hostname4 slave e7d1 0 1426238317239 4 connected',
    '67ed :30002@31002 myself,master - 0 1426238316232 2 connected 5461-10922 100 [93-<-292f] [77->-e7d1]',
    '292f 127.0.0.1:30003@31003 master,fail? - 0 1426238318243 3 connected',
    '6ec2 127.0.0.1:30005@31005 master,fail - 0 1 5 disconnected',
    'aaaa :0@0 handshake,noaddr - 0 0 0 disconnected',
    '',
  ].join('\n');
  const peers = parseClusterNodes(text);
  assert.equal(peers.length, 5);
  assert.deepEqual(peers[0], {
    id: '07c3',
    port: 30004,
    myself: false,
    role: 'replica',
    failed: false,
    handshake: false,
    noAddress: false,
    primaryId: 'e7d1',
    configEpoch: 4,
    slots: 0,
    slotRanges: [],
    marks: [],
  });
  assert.equal(peers[1]!.myself, true);
  assert.equal(peers[1]!.slots, 5463);
  assert.deepEqual(peers[1]!.slotRanges, [
    { first: 5461, last: 10922 },
    { first: 100, last: 100 },
  ]);
  assert.deepEqual(peers[1]!.marks, [
    { slot: 93, kind: 'importing', peerId: '292f' },
    { slot: 77, kind: 'migrating', peerId: 'e7d1' },
  ]);
  assert.deepEqual(
    peers.map((peer) => peer.failed),
    [false, false, false, true, false],
  );
  assert.ok(peers[4]!.handshake && peers[4]!.noAddress);
});
