/** What moving slots needs of a step's context, and how it fails. */
import type { Logger } from 'pino';
import { SpringtideError } from '../../lib/errors.ts';
import type { Fleet } from '../fleet.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import type { Store } from '../store.ts';
import type { CacheRecord } from '../store-records.ts';

export type MoveSlotsStep = Extract<Step, { kind: 'move-slots' }>;

/** A part of StepContext, so that a harness can give it without a daemon. */
export interface SlotMoveContext extends Pick<
  StepContext,
  'signal' | 'event' | 'refresh' | 'progress'
> {
  readonly cache: Pick<CacheRecord, 'id' | 'name' | 'systemSecret'>;
  readonly store: Pick<Store, 'nodes' | 'shards' | 'transaction'>;
  readonly fleet: Pick<
    Fleet,
    | 'address'
    | 'call'
    | 'callAside'
    | 'callForBytes'
    | 'isAlive'
    | 'dumpFunctions'
    | 'restoreFunctions'
    | 'takeovers'
  >;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/**
 * `SLOT_MOVE_REFUSED`: as things are it must not be done; nothing was begun. `SLOT_MOVE_BUSY`: one of the two nodes is in
 * another move; later it can be done. `SLOT_MOVE_TARGET_FULL`: the target has no room. `SLOT_MOVE_FAILED`: it was tried
 * again and again; what has been moved stays moved.
 */
export type SlotMoveErrorCode =
  | 'SLOT_MOVE_REFUSED'
  | 'SLOT_MOVE_BUSY'
  | 'SLOT_MOVE_TARGET_FULL'
  | 'SLOT_MOVE_FAILED';

export class SlotMoveError extends SpringtideError<SlotMoveErrorCode> {}
