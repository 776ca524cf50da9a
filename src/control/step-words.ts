/** How a step is put into words, for people: in `springtide explain` and in events. */
import { formatBytes } from '../lib/human-units.ts';
import { slotCount } from './slot-ranges.ts';
import type { Step } from './step.ts';

/** A step in one phrase. */
export function stepWords(step: Step): string {
  switch (step.kind) {
    case 'move-slots':
      return `move-slots ${step.from} -> ${step.to} (${slotCount(step.ranges)} slots)`;
    case 'add-shard':
    case 'remove-shard':
    case 'add-replica':
      return `${step.kind} ${step.shard}`;
    case 'set-shard':
      return step.ioThreads === undefined
        ? `set-memory-limit ${step.shard} to ${formatBytes(step.maxmemoryBytes ?? 0)}`
        : `set-io-threads ${step.shard} to ${step.ioThreads}`;
    default:
      return 'nodeId' in step ? `${step.kind} ${step.nodeId}` : step.kind;
  }
}
