/**
 * Three hosts in namespaces of their own, one in each zone; one is cut off. Those that go on hold the majority of the
 * primaries. A client on the cut side writes on, straight to its primary: what it loses is the engine's own bound.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  eventually,
  primaryOf,
  replicaOf,
  TestDaemon,
  writeToShard,
} from '../src/daemon/fixtures/test-daemon.ts';
import { CLUSTER_NODE_TIMEOUT_MS } from '../src/engine/node-config.ts';
import { readProcess } from '../src/engine/process-identity.ts';
import type { NodeStatus } from '../src/model/admin-api.ts';
import { eventsAfter, firstEvents, lastEvent, underTraffic } from './harness/daemon-traffic.ts';
import type { DirectWrites } from './harness/direct-writer.ts';
import { networkSuite } from './harness/network-suite.ts';
import type { TestNetwork } from './harness/test-network.ts';

const WRITER = fileURLToPath(new URL('harness/direct-writer.ts', import.meta.url));
/** Longer than FENCE_AFTER_MS. */
const LOOKS_MS = 12_000;
const WRITER_MAXIMUM_MS = 120_000;
networkSuite('a partition', partition);

function partition(network: TestNetwork, daemon: TestDaemon): void {
  test('nodes run in the namespaces, and follow over them', async () => {
    await daemon.create({ name: 'main', shards: 3, replicas: 1 });
    const { nodes } = await daemon.healthy('main');
    const primaries = nodes.filter(({ role }) => role === 'primary');
    assert.equal(new Set(primaries.map(({ zone }) => zone)).size, 3);
    for (const { pid, hostId } of nodes) assert.equal(netnsOf(pid!), hostId);
  });

  test('the majority goes on, the minority stops writing, and is taken back as replicas', async (t) => {
    const key = await writeToShard(daemon, 'main', 0);
    const before = await daemon.healthy('main');
    const cutOff = primaryOf(before, 0);
    const last = await lastEvent(daemon);
    let cutAtMs = 0;
    let writes: DirectWrites | null = null;
    const allowed = ['INDOUBT', 'CLUSTERDOWN'];
    const disturb = async () => {
      const { netns } = network.hosts.find(({ id }) => id === cutOff.hostId)!;
      const inNamespace = ['ip', 'netns', 'exec', netns];
      const { writes: writing } = startWriter(daemon, cutOff, key, inNamespace);
      await eventually('its first write', async () =>
        /^\d+$/.test(String(await daemon.ask('main', cutOff, 'GET', key))),
      );
      cutAtMs = Date.now();
      network.cut(cutOff.hostId);
      const [lost] = await firstEvents(daemon, last, ['host-lost', 'failover']);
      assert.match(lost!.message, new RegExp(`host ${cutOff.hostId} cannot be reached`));
      writes = await writing;
      assert.notEqual(primaryOf(await daemon.cache('main'), 0).id, cutOff.id);
      // Nobody could say that it had ended, and it had not.
      assert.ok(readProcess(cutOff.pid!));
      network.join(cutOff.hostId);
      await daemon.healthy('main');
    };
    await underTraffic(t, daemon, 'main', disturb, allowed);
    const { acknowledged, acknowledgedAtMs, refusedWith } = writes!;
    assert.equal(refusedWith, 'CLUSTERDOWN');
    const found = Number(
      await daemon.ask('main', primaryOf(await daemon.cache('main'), 0), 'GET', key),
    );
    t.diagnostic(
      `the minority's primary took writes for ${acknowledgedAtMs - cutAtMs} ms after the cut; of ${acknowledged} that it acknowledged ${acknowledged - found} are lost`,
    );
    // The engine's own bound is the node timeout; the rest is this machine's.
    assert.ok(acknowledgedAtMs - cutAtMs < 4 * CLUSTER_NODE_TIMEOUT_MS);
    assert.ok(found < acknowledged);
    const events = await eventsAfter(daemon, last);
    assert.ok(!events.some(({ kind }) => kind === 'node-fenced' || kind === 'node-lost'));
    const failovers = events.filter(
      ({ kind, message }) => kind === 'failover' && /shard 0/.test(message),
    );
    assert.deepEqual(
      failovers.map(({ message }) => message.startsWith('the engine made')),
      [true],
    );
    const returned = (await daemon.cache('main')).nodes.find(({ id }) => id === cutOff.id)!;
    assert.deepEqual([returned.role, returned.pid], ['replica', cutOff.pid]);
  });

  test('a daemon that is started meanwhile takes nothing for dead that it cannot see', async () => {
    const created = await daemon.create({ name: 'plain', sharding: false, replicas: 1 });
    await daemon.healthy('plain');
    const [primary, replica] = [primaryOf(created, 0), replicaOf(created, 0)];
    const last = await lastEvent(daemon);
    network.cut(primary.hostId);
    try {
      await firstEvents(daemon, last, ['host-lost']);
      await daemon.kill('SIGKILL');
      await daemon.start();
      // It looks at the shard again and again, and does nothing.
      await delay(LOOKS_MS);
      assert.match(String(await daemon.ask('plain', replica, 'INFO', 'replication')), /role:slave/);
    } finally {
      network.join(primary.hostId);
    }
    const healed = await daemon.healthy('plain');
    assert.deepEqual(
      healed.nodes.map(({ pid, role }) => [pid, role]),
      created.nodes.map(({ pid, role }) => [pid, role]),
    );
    await daemon.healthy('main');
    const kinds = (await eventsAfter(daemon, last)).map(({ kind }) => kind);
    for (const kind of ['node-lost', 'node-fenced']) assert.ok(!kinds.includes(kind), kind);
    await daemon.operation('DELETE', '/v1/caches/plain');
  });

  test('a replica that died on a host which is cut off is started on another one', async () => {
    const before = await daemon.healthy('main');
    const lost = replicaOf(before, 1);
    network.cut(lost.hostId);
    try {
      process.kill(lost.pid!, 'SIGKILL');
      await eventually('its start elsewhere', async () => {
        const { nodes } = await daemon.cache('main');
        const node = nodes.find(({ id }) => id === lost.id)!;
        return node.hostId !== lost.hostId && node.state === 'online';
      });
    } finally {
      network.join(lost.hostId);
    }
    await daemon.healthy('main');
  });

  /** The host whose namespace a process is in. */
  function netnsOf(pid: number): string | undefined {
    const inode = (path: string) => statSync(path).ino;
    const own = inode(`/proc/${pid}/ns/net`);
    return network.hosts.find(({ netns }) => inode(`/run/netns/${netns}`) === own)?.id;
  }
}

/** Nobody ends it, for no daemon runs: the engine's quorum takes its place, and then it wakes up. */
suite('a primary that is stopped and woken while no daemon runs', () => {
  const daemon = TestDaemon.forSuite();

  test('takes what lies in its sockets, and then no more', async (t) => {
    await daemon.create({ name: 'main', shards: 3, replicas: 1 });
    const key = await writeToShard(daemon, 'main', 0);
    const before = await daemon.healthy('main');
    const [stopped, replica] = [primaryOf(before, 0), replicaOf(before, 0)];
    const { writes } = startWriter(daemon, stopped, key, []);
    await eventually('its first write', async () =>
      /^\d+$/.test(String(await daemon.ask('main', stopped, 'GET', key))),
    );
    await daemon.kill('SIGKILL');
    process.kill(stopped.pid!, 'SIGSTOP');
    await eventually('the quorum', async () =>
      String(await daemon.ask('main', replica, 'INFO', 'replication')).includes('role:master'),
    );
    const wokenAtMs = Date.now();
    process.kill(stopped.pid!, 'SIGCONT');
    const { acknowledged, acknowledgedAtMs, refusedWith } = await writes;
    assert.equal(refusedWith, 'MOVED');
    const found = Number(await daemon.ask('main', replica, 'GET', key));
    t.diagnostic(
      `it took writes for ${acknowledgedAtMs - wokenAtMs} ms after it woke; ${acknowledged - found} acknowledged ones are lost`,
    );
    assert.ok(found <= acknowledged);
  });
});

/** @param inNamespace the command that runs a program where the node is */
function startWriter(
  daemon: TestDaemon,
  node: NodeStatus,
  key: string,
  inNamespace: readonly string[],
): { readonly writes: Promise<DirectWrites> } {
  const { systemSecret } = daemon.topologyCache('main');
  const words = [process.execPath, WRITER, node.host, String(node.port), key];
  const [program, ...rest] = [...inNamespace, ...words];
  const child = spawn(program!, rest, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_SECRET: systemSecret },
    timeout: WRITER_MAXIMUM_MS,
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const writes = new Promise<DirectWrites>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      if (said === '') reject(new Error('the writer said nothing'));
      else resolve(JSON.parse(said) as DirectWrites);
    });
  });
  return { writes };
}
