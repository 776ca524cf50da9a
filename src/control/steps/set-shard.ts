/** Gives all nodes of a shard other settings while they run. Written down first: a node that starts has them too. */
import { replBacklogBytes } from '../../engine/node-config.ts';
import { changesIoThreads } from '../changes-io-threads.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';

/** @throws NodeError; who has not got them then gets them from the shard's lane, once it answers */
export async function setShard(
  context: StepContext,
  step: Extract<Step, { kind: 'set-shard' }>,
): Promise<void> {
  const { store, fleet, cache } = context;
  const { ioThreads, maxmemoryBytes } = step;
  store.shards.update(cache.id, step.shard, {
    ...(ioThreads === undefined ? {} : { ioThreads }),
    ...(maxmemoryBytes === undefined ? {} : { maxmemoryBytes }),
  });
  const nodes = store
    .nodes(cache.id)
    .filter(({ id, shard, leaving }) => shard === step.shard && !leaving && fleet.isAlive(id));
  const wordsFor = ({ engineLine }: NodeRecord) => [
    ...(ioThreads === undefined || !changesIoThreads(engineLine) ? [] : ['io-threads', ioThreads]),
    ...(maxmemoryBytes === undefined
      ? []
      : ['maxmemory', maxmemoryBytes, 'repl-backlog-size', replBacklogBytes(maxmemoryBytes)]),
  ];
  await Promise.all(
    nodes
      .map((node) => ({ id: node.id, words: wordsFor(node) }))
      .filter(({ words }) => words.length > 0)
      .map(({ id, words }) => fleet.call(id, ['CONFIG', 'SET', ...words])),
  );
}
