/** Gives all nodes of a shard other settings while they run. Written down first: a node that starts has them too. */
import { replBacklogBytes } from '../../engine/node-config.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';

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
  const words = [
    ...(ioThreads === undefined ? [] : ['io-threads', ioThreads]),
    ...(maxmemoryBytes === undefined
      ? []
      : ['maxmemory', maxmemoryBytes, 'repl-backlog-size', replBacklogBytes(maxmemoryBytes)]),
  ];
  await Promise.all(nodes.map(({ id }) => fleet.call(id, ['CONFIG', 'SET', ...words])));
}
