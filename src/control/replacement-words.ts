/** What each kind of replacement is called in events and to users. */
import type { ReplacementKind } from './replacement-table.ts';

interface KindOfEvent {
  readonly event: string;
}

export interface ReplacementWords {
  readonly noun: string;
  readonly started: KindOfEvent;
  readonly done: KindOfEvent;
  readonly failed: KindOfEvent;
}

export const REPLACEMENT_WORDS: Readonly<Record<ReplacementKind, ReplacementWords>> = {
  upgrade: {
    noun: 'the upgrade',
    started: { event: 'upgrade-started' },
    done: { event: 'upgrade-done' },
    failed: { event: 'upgrade-failed' },
  },
  replace: {
    noun: 'the replacement of a node',
    started: { event: 'replacement-started' },
    done: { event: 'replacement-done' },
    failed: { event: 'replacement-failed' },
  },
  restart: {
    noun: 'the rolling restart',
    started: { event: 'restart-started' },
    done: { event: 'restart-done' },
    failed: { event: 'restart-failed' },
  },
  drain: {
    noun: 'the move to other hosts',
    started: { event: 'replacement-started' },
    done: { event: 'replacement-done' },
    failed: { event: 'replacement-failed' },
  },
};
