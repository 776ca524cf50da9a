/** The function libraries that a primary which starts empty should have. */
import { FOOTER_BYTES } from '../engine/functions-rdb.ts';
import type { StepContext } from './step-context.ts';
import type { NodeRecord } from './store-records.ts';

/** Another shard that hangs must not hold up this one. */
const DUMP_TIMEOUT_MS = 200;

/** From another primary of the cache, else the copy that was kept last; null when there are none. */
export async function functionsOf(
  context: StepContext,
  node: NodeRecord,
): Promise<Uint8Array | null> {
  const { store, fleet, cache } = context;
  const others = store
    .nodes(cache.id)
    .filter(
      ({ id, role, shard }) =>
        shard !== node.shard && role === 'primary' && fleet.state(id, role) === 'online',
    );
  for (const other of others.slice(0, 2)) {
    try {
      const dump = await fleet.dumpFunctions(other.id, DUMP_TIMEOUT_MS);
      return dump.length > FOOTER_BYTES ? dump : null;
    } catch (error) {
      context.log.warn({ node: other.id, err: error }, 'no functions from this one');
    }
  }
  return store.functions(cache.id);
}
