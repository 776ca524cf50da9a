/** Unsharded counterpart of form-cluster: the replicas follow the primary and have its (empty) data. */
import type { StepContext } from '../step-context.ts';
import { waitUntil } from './wait-until.ts';

export async function formReplication(context: StepContext): Promise<void> {
  const { store, fleet, cache, signal } = context;
  const nodes = store.nodes(cache.id);
  const primary = nodes.find((node) => node.role === 'primary')!;
  const replicas = nodes.filter((node) => node !== primary);
  await Promise.all(
    replicas.map((node) =>
      fleet.call(node.id, ['REPLICAOF', fleet.address(primary), primary.port]),
    ),
  );
  await waitUntil(
    'the replicas copying the primary',
    async () => {
      const seen = await Promise.all(replicas.map((node) => fleet.observe(node.id)));
      return seen.every((one) => one?.role === 'replica' && one.linkUp);
    },
    { timeoutMs: 30_000, everyMs: 20, signal },
  );
  store.updateCache(cache.id, { formed: true });
}
