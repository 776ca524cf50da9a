/** Runs a step: which code belongs to which kind, and the record around it. */
import { messageOf } from '../lib/errors.ts';
import type { PlannedStep, Step } from './step.ts';
import type { StepContext } from './step-context.ts';
import { addReplica } from './steps/add-replica.ts';
import { addShard } from './steps/add-shard.ts';
import { fenceNode } from './steps/fence-node.ts';
import { formCluster } from './steps/form-cluster.ts';
import { formReplication } from './steps/form-replication.ts';
import { joinReplica } from './steps/join-replica.ts';
import { mendSlots } from './steps/mend-slots.ts';
import { moveSlots } from './steps/move-slots.ts';
import { plannedFailover } from './steps/planned-failover.ts';
import { reclaimSlots } from './steps/reclaim-slots.ts';
import { recordRoles } from './steps/record-roles.ts';
import { removeNode } from './steps/remove-node.ts';
import { removeShard } from './steps/remove-shard.ts';
import { restartPrimary } from './steps/restart-primary.ts';
import { setShard } from './steps/set-shard.ts';
import { startNode } from './steps/start-node.ts';
import { syncUsers } from './steps/sync-users.ts';
import { takeOver } from './steps/take-over.ts';

/**
 * Records the step as begun, runs it, records its end. A step that throws is recorded as failed and throws on: the lane
 * looks again, with growing delay.
 *
 * @param lane the queue key under which it runs
 */
export async function executeStep(
  context: StepContext,
  lane: string,
  planned: PlannedStep,
): Promise<void> {
  const { store, log, cache } = context;
  const startedAtMs = Date.now();
  const id = store.steps.begin(cache.id, lane, planned, startedAtMs);
  try {
    await dispatch(context, planned.step);
    store.steps.end(id, 'done', null, Date.now());
    log.info(
      {
        cache: cache.name,
        step: planned.step,
        reason: planned.reason,
        tookMs: Date.now() - startedAtMs,
      },
      'step done',
    );
  } catch (error) {
    store.steps.end(id, 'failed', messageOf(error), Date.now());
    throw error;
  }
}

function dispatch(context: StepContext, step: Step): Promise<unknown> {
  switch (step.kind) {
    case 'start-node':
      return startNode(context, step);
    case 'restart-primary':
      return restartPrimary(context, step);
    case 'form-cluster':
      return formCluster(context);
    case 'form-replication':
      return formReplication(context);
    case 'take-over':
      return takeOver(context, step);
    case 'fence-node':
      return fenceNode(context, step);
    case 'planned-failover':
      return plannedFailover(context, step);
    case 'join-replica':
      return joinReplica(context, step);
    case 'reclaim-slots':
      return reclaimSlots(context, step);
    case 'record-roles':
      return recordRoles(context, step);
    case 'add-shard':
      return addShard(context, step);
    case 'add-replica':
      return addReplica(context, step);
    case 'remove-node':
      return removeNode(context, step);
    case 'remove-shard':
      return removeShard(context, step);
    case 'set-shard':
      return setShard(context, step);
    case 'move-slots':
      return moveSlots(context, step);
    case 'mend-slots':
      return mendSlots(context);
    case 'sync-users':
      return syncUsers(context, step);
  }
}
