/**
 * Settings that a node of a shard has not got: it was being started, hung, or its daemon died when they were given out. One
 * that takes over with another memory limit than the one it is to have evicts too early, or never.
 */
import type { PlannedStep } from '../step.ts';

export interface SettingsView {
  readonly shard: number;
  readonly ioThreads: number;
  readonly maxmemoryBytes: number;
  /** Those that answer. */
  readonly nodes: readonly {
    readonly id: string;
    /** Null: it does not say, or cannot change it. */
    readonly ioThreads: number | null;
    readonly maxmemoryBytes: number;
  }[];
}

/** @returns null when all nodes have what the shard is to have */
export function planSettings(view: SettingsView): PlannedStep | null {
  const { shard, ioThreads, maxmemoryBytes, nodes } = view;
  const other = nodes.find(
    (node) =>
      node.maxmemoryBytes !== maxmemoryBytes ||
      (node.ioThreads !== null && node.ioThreads !== ioThreads),
  );
  if (other === undefined) return null;
  return {
    step: { kind: 'set-shard', shard, ioThreads, maxmemoryBytes },
    reason: `node ${other.id} has other settings than shard ${shard}: memory limit ${other.maxmemoryBytes} instead of ${maxmemoryBytes} bytes, ${other.ioThreads ?? 'fixed'} io-threads (${ioThreads})`,
  };
}
