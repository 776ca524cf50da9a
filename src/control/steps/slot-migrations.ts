/** CLUSTER GETSLOTMIGRATIONS as a node answers it (9.0 and newer). Pure. */
import type { SlotRange } from '../../model/slot-range.ts';

export interface SlotMigration {
  readonly name: string;
  readonly operation: 'export' | 'import';
  readonly ranges: readonly SlotRange[];
  /** Cluster ids. Empty where the node does not know (a replica that only follows). */
  readonly sourceId: string;
  readonly targetId: string;
  /** The engine's word: connecting, snapshotting, replicating, failover-paused, ..., success, cancelled, failed. */
  readonly state: string;
  readonly message: string;
  readonly isActive: boolean;
}

const ENDED = new Set(['success', 'cancelled', 'failed']);

/** @param reply an array of flat field-value arrays; newest first, ended ones among them */
export function parseSlotMigrations(reply: unknown): SlotMigration[] {
  if (!Array.isArray(reply)) return [];
  return reply.map((entry) => {
    const words = (entry as unknown[]).map(String);
    const at = (name: string) => words.findIndex((word, i) => i % 2 === 0 && word === name);
    const field = (name: string) => (at(name) < 0 ? '' : (words[at(name) + 1] ?? ''));
    const state = field('state');
    return {
      name: field('name'),
      operation: field('operation') === 'EXPORT' ? 'export' : 'import',
      ranges: field('slot_ranges')
        .split(' ')
        .filter((word) => word !== '')
        .map((word) => {
          const [first = 0, last = first] = word.split('-').map(Number);
          return { first, last };
        }),
      sourceId: field('source_node'),
      targetId: field('target_node'),
      state,
      message: field('message'),
      isActive: !ENDED.has(state),
    };
  });
}

/** Whether two lists of ranges have a slot in common. */
export function overlap(a: readonly SlotRange[], b: readonly SlotRange[]): boolean {
  return a.some((one) => b.some(({ first, last }) => one.first <= last && first <= one.last));
}
