/** What a process does, as /proc shows it (proc_pid_stat(5), proc_pid_status(5)): plain figures, no judgement. */
import type { NodeActivity } from './host.ts';
import { parseProcessStat, readProcFile, type ProcessIdentity } from './process-identity.ts';

/** Of USER_HZ, in which Linux counts CPU time for programs: 100 a second everywhere. */
const TICK_MS = 10;

/** @returns undefined if that very process is gone */
export function readActivity(identity: ProcessIdentity): Omit<NodeActivity, 'nodeId'> | undefined {
  const { pid, startTicks } = identity;
  // The entries of the main thread: those of the process add up all of its threads.
  const stat = readProcFile(`/proc/${pid}/task/${pid}/stat`);
  const status = readProcFile(`/proc/${pid}/task/${pid}/status`);
  if (stat === undefined || status === undefined) return undefined;
  if (parseProcessStat(stat)?.startTicks !== startTicks) return undefined;
  return parseActivity(pid, stat, status);
}

/** @returns undefined for a process that has ended */
export function parseActivity(
  pid: number,
  stat: string,
  status: string,
): Omit<NodeActivity, 'nodeId'> | undefined {
  const fields = stat
    .slice(stat.lastIndexOf(')') + 1)
    .trim()
    .split(/\s+/);
  const state = stateOf(fields[0] ?? '');
  if (state === undefined) return undefined;
  const [userTicks, systemTicks] = [fields[11], fields[12]].map(Number);
  return {
    pid,
    state,
    cpuMs: (userTicks! + systemTicks!) * TICK_MS,
    switches:
      counter(status, 'voluntary_ctxt_switches') + counter(status, 'nonvoluntary_ctxt_switches'),
  };
}

function stateOf(letter: string): NodeActivity['state'] | undefined {
  if (letter === 'R') return 'running';
  if (letter === 'T' || letter === 't') return 'stopped';
  if (letter === 'D') return 'blocked';
  return letter === 'Z' || letter === 'X' || letter === '' ? undefined : 'sleeping';
}

function counter(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? 0);
}
