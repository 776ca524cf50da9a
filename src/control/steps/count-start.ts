import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';

/**
 * Counts a start that follows a death, and not the one that follows an orderly stop of everything.
 *
 * @param node as it was before the start
 * @returns whether it was one
 */
export function countStart(context: StepContext, node: NodeRecord): boolean {
  const died = !node.stopped;
  context.store.updateNode(node.id, died ? { restarts: node.restarts + 1 } : { stopped: false });
  return died;
}
