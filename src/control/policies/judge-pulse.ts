/**
 * Whether a node that does not answer hangs or is busy. Pure: fed with one sample after another (pulse-watch.ts).
 *
 * A node that is busy (a long script, KEYS over millions of keys) uses its CPU or waits for one; it will answer. One that
 * hangs does not run at all: stopped by a signal, frozen, blocked in the kernel by a disk or by swap, deadlocked. Its
 * machine knows which: an engine's event loop wakes ten times a second by itself (`hz`), so that a main thread which has
 * neither run nor given up a CPU for a second is no event loop any more.
 */
import type { NodeActivity } from '../../engine/host.ts';

export type PulseState = 'answers' | 'waiting' | 'busy' | 'hung';

export interface Pulse {
  readonly state: PulseState;
  /** For how long a question has been without an answer. */
  readonly silentMs: number;
  /** Of these, at the end: for how long its main thread has not run. */
  readonly idleMs: number;
  readonly activity: NodeActivity | null;
}

export interface PulseSample {
  /** Since the last sample; 0 when this process itself was held up, for then silence proves nothing. */
  readonly elapsedMs: number;
  readonly answered: boolean;
  /** Null: its host did not say. */
  readonly activity: NodeActivity | null;
}

/** A node that hangs is told from one that is busy after this long. */
export const HUNG_AFTER_MS = 1_500;
/** Ten turns of an idle engine's event loop. */
const IDLE_AFTER_MS = 1_000;

export const ANSWERS: Pulse = { state: 'answers', silentMs: 0, idleMs: 0, activity: null };

export function judgePulse(pulse: Pulse, sample: PulseSample): Pulse {
  if (sample.answered) return ANSWERS;
  const { elapsedMs, activity } = sample;
  const silentMs = pulse.silentMs + elapsedMs;
  const idleMs = isIdle(pulse.activity, activity) ? pulse.idleMs + elapsedMs : 0;
  const base = { silentMs, idleMs, activity };
  if (silentMs < HUNG_AFTER_MS) return { ...base, state: 'waiting' };
  return { ...base, state: idleMs >= IDLE_AFTER_MS ? 'hung' : 'busy' };
}

/** What its process does, for people: "is stopped". */
export function describeHang(pulse: Pulse): string {
  switch (pulse.activity?.state) {
    case 'stopped':
      return 'is stopped (by SIGSTOP or a debugger)';
    case 'blocked':
      return 'is blocked in the kernel (a disk or swap that does not answer)';
    default:
      return 'sleeps and does not wake up (frozen, or deadlocked)';
  }
}

/** It has not run from one look to the next. */
function isIdle(before: NodeActivity | null, now: NodeActivity | null): boolean {
  if (before === null || now === null || before.pid !== now.pid) return false;
  // Ready to run without running: the machine has no CPU for it.
  if (now.state === 'running') return false;
  return before.cpuMs === now.cpuMs && before.switches === now.switches;
}
