/** Ends the process of a node that hangs, at once: what it still held is given up for a replica that can serve. */
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';

const LAST_CALL_MS = 300;

export async function fenceNode(
  context: StepContext,
  step: Extract<Step, { kind: 'fence-node' }>,
): Promise<void> {
  const { store, fleet } = context;
  const node = store.node(step.nodeId);
  // It may have come back between the plan and now.
  if (node === undefined || (await fleet.observe(node.id, { timeoutMs: LAST_CALL_MS })) !== null) {
    return;
  }
  await fleet.stop(node.id, 0);
  context.event(
    'node-fenced',
    `node ${node.id}, primary of shard ${node.shard}, hung and was ended for a replica to take over`,
  );
}
