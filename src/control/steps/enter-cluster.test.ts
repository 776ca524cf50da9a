import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';
import { enterCluster } from './enter-cluster.ts';

const line = (id: string, port: number, flags: string) =>
  `${id} 127.0.0.1:${port}@${port + 1} ${flags} - 0 0 1 connected`;

test('a member that has not heard the first MEET is met again, and nobody who is known', async () => {
  const record = (id: string, port: number) =>
    ({
      id,
      shard: port,
      port,
      busPort: port + 1,
      leaving: false,
      clusterNodeId: `c-${id}`,
    }) as NodeRecord;
  const nodes = [record('new', 1), record('deaf', 3), record('there', 5)];
  const [joining, deaf, there] = nodes as [NodeRecord, NodeRecord, NodeRecord];
  const met: number[] = [];
  /** The second MEET is heard. */
  const knows = (a: NodeRecord, b: NodeRecord) =>
    a === b || (a !== deaf && b !== deaf) || met.filter((port) => port === deaf.port).length > 1;
  const call = (id: string, [command, what, , port]: (string | number)[]) => {
    assert.equal(command, 'CLUSTER');
    const node = nodes.find((one) => one.id === id)!;
    if (what === 'MYID') return node.clusterNodeId;
    if (what === 'MEET') return void met.push(Number(port));
    return nodes
      .filter((other) => knows(node, other))
      .map((other) =>
        line(other.clusterNodeId!, other.port, other === node ? 'myself,master' : 'master'),
      )
      .join('\n');
  };
  const context = {
    cache: { id: 'c' },
    signal: new AbortController().signal,
    store: { nodes: () => nodes, updateNode: () => {} },
    fleet: {
      isAlive: () => true,
      address: () => '127.0.0.1',
      call: (id: string, words: (string | number)[]) => Promise.resolve(call(id, words)),
    },
  } as unknown as StepContext;
  await enterCluster(context, joining, [deaf, there]);
  assert.deepEqual(met, [deaf.port, deaf.port]);
});
