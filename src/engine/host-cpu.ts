/** How busy the processors of this machine are, from /proc/stat: one figure for all of them, between two looks. */
import { readFileSync } from 'node:fs';

interface Ticks {
  readonly busy: number;
  readonly all: number;
}

export class HostCpu {
  #last: Ticks | null = null;

  /** Part of the time since the last call in which processors worked, 0..1; null at first, and where nobody says it. */
  sample(): number | null {
    const now = readTicks();
    const last = this.#last;
    this.#last = now;
    if (now === null || last === null || now.all === last.all) return null;
    return Math.min(1, Math.max(0, (now.busy - last.busy) / (now.all - last.all)));
  }
}

function readTicks(): Ticks | null {
  let text: string;
  try {
    text = readFileSync('/proc/stat', 'utf8');
  } catch {
    return null;
  }
  return ticksOf(text);
}

/** From the first line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal ... */
export function ticksOf(text: string): Ticks | null {
  const line = text.split('\n', 1)[0] ?? '';
  if (!line.startsWith('cpu ')) return null;
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, one) => sum + one, 0);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  return { busy: all - idle, all };
}
