/**
 * Ends the process of a node that hangs, at once: what it still held is given up for a replica that can serve. SIGKILL
 * ends a stopped process too.
 */
import { seconds } from '../seconds.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';

const LAST_CALL_MS = 300;

export async function fenceNode(
  context: StepContext,
  step: Extract<Step, { kind: 'fence-node' }>,
): Promise<void> {
  const { store, fleet } = context;
  const node = store.node(step.nodeId);
  if (node === undefined) return;
  const [hangs, silentMs] = [fleet.hangs(node.id), fleet.silentForMs(node.id)];
  // It may have come back between the plan and now.
  if ((await fleet.observe(node.id, { timeoutMs: LAST_CALL_MS })) !== null) return;
  await fleet.stop(node.id, 0);
  const why = hangs === null ? 'was busy' : hangs.replace(/^is/, 'was');
  context.event(
    'node-fenced',
    `node ${node.id}, ${node.role} of shard ${node.shard}, ${why}, had not answered for ${seconds(silentMs)}, and was ended ${node.role === 'primary' ? 'for a replica to take over' : 'to be started again'}`,
  );
}
