/**
 * Processes that need not be our children, as Linux's /proc shows them (proc_pid_stat(5)). A pid alone names nothing for
 * long; a pid with its start time does.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the machine's start to the process's; never the same again for one pid. */
  readonly startTicks: number;
}

export interface ProcessStat extends ProcessIdentity {
  readonly name: string;
  /** One letter; `Z` is a zombie and `X` is dead. */
  readonly state: string;
  readonly parentPid: number;
}

/** Reads /proc/PID/stat. The name may hold anything, parentheses, spaces and newlines too: it ends at the last `)`. */
export function parseProcessStat(text: string): ProcessStat | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  const fields = text
    .slice(close + 1)
    .trim()
    .split(/\s+/);
  const [pid, parentPid, startTicks] = [text.slice(0, open), fields[1], fields[19]].map(Number);
  const state = fields[0];
  if (
    !Number.isInteger(pid) ||
    !Number.isInteger(parentPid) ||
    !Number.isInteger(startTicks) ||
    !state
  )
    return undefined;
  return {
    pid: pid!,
    startTicks: startTicks!,
    name: text.slice(open + 1, close),
    state,
    parentPid: parentPid!,
  };
}

/** @returns undefined if there is no such process; a zombie is no process any more */
export function readProcess(pid: number): ProcessStat | undefined {
  const text = readProcFile(`/proc/${pid}/stat`);
  const stat = text === undefined ? undefined : parseProcessStat(text);
  return stat === undefined || stat.state === 'Z' || stat.state === 'X' ? undefined : stat;
}

/** Whether that very process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return readProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** Sends a signal to that very process. @returns false if it is gone (its pid may be another's by now) */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** The arguments a process was started with; empty for one that is gone, a zombie, or not ours to see. */
export function readCommandLine(pid: number): string[] {
  const text = readProcFile(`/proc/${pid}/cmdline`) ?? '';
  return text.split('\0').slice(0, -1);
}

/**
 * Every process that has `argument` in its command line, without those whose parent has it too: a forked child (the
 * engine's, writing a snapshot) shares its parent's command line.
 */
export function findProcesses(argument: string): ProcessStat[] {
  const found: ProcessStat[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || !readCommandLine(Number(name)).includes(argument)) continue;
    const stat = readProcess(Number(name));
    if (stat !== undefined) found.push(stat);
  }
  const pids = new Set(found.map((stat) => stat.pid));
  return found.filter((stat) => !pids.has(stat.parentPid));
}

/** Whether the process holds a TCP socket that listens on the port: tells a server from one that was there before it. */
export function ownsListener(pid: number, port: number): boolean {
  const inodes = new Set<string>();
  // Of its own network namespace, which need not be ours.
  for (const table of [`/proc/${pid}/net/tcp`, `/proc/${pid}/net/tcp6`]) {
    for (const inode of parseListeners(readProcFile(table) ?? '', port))
      inodes.add(`socket:[${inode}]`);
  }
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) =>
      inodes.has(readLink(`/proc/${pid}/fd/${fd}`)),
    );
  } catch {
    return false;
  }
}

/** The socket inodes that listen on a port, from the text of /proc/net/tcp (proc_net(5); state 0A is LISTEN). */
export function parseListeners(table: string, port: number): string[] {
  const inodes: string[] = [];
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[3] !== '0A' || fields[9] === undefined) continue;
    if (Number.parseInt(fields[1]?.split(':')[1] ?? '', 16) === port) inodes.push(fields[9]);
  }
  return inodes;
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** Undefined when it cannot be read: the process is gone, or not ours to see. */
export function readProcFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
