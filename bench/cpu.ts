/**
 * CPU time and memory of processes, from /proc (man 5 proc). Linux only, as the measurements are. Times come in clock
 * ticks of 10 ms, which is why a run has to last seconds.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { BenchError } from './bench-error.ts';
import type { CpuSplit } from './sample.ts';

/** The processes behind a target, by what they do. */
export interface PidsByRole {
  readonly proxy: readonly number[];
  readonly node: readonly number[];
  readonly other: readonly number[];
}

/** utime + stime of one `/proc/PID/stat` line, in clock ticks. The command's name may hold spaces and brackets. */
export function parseStatTicks(stat: string): number {
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
  // The first field here is the third of the line (state); utime is the 14th, stime the 15th.
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isFinite(ticks)) {
    throw new BenchError(
      'BENCH_OUTPUT_UNREADABLE',
      `not a /proc/PID/stat line: ${stat.slice(0, 80)}`,
    );
  }
  return ticks;
}

/** Resident memory in bytes from the text of `/proc/PID/status`. */
export function parseRssBytes(status: string): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  if (match === null) {
    throw new BenchError('BENCH_OUTPUT_UNREADABLE', 'no VmRSS in /proc/PID/status');
  }
  return Number(match[1]) * 1024;
}

/** Reads CPU seconds of sets of processes; one per bench, for the tick's length. */
export class CpuReader {
  readonly #ticksPerSecond: number;

  constructor(ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))) {
    this.#ticksPerSecond = ticksPerSecond;
  }

  /** Seconds since each process began, summed by role. A process that is gone is an error: its time would be lost. */
  read(pids: PidsByRole): CpuSplit {
    return {
      proxy: this.#sum(pids.proxy),
      node: this.#sum(pids.node),
      other: this.#sum(pids.other),
    };
  }

  #sum(pids: readonly number[]): number {
    let ticks = 0;
    for (const pid of pids) ticks += parseStatTicks(readProc(pid, 'stat'));
    return ticks / this.#ticksPerSecond;
  }
}

export function cpuDelta(before: CpuSplit, after: CpuSplit): CpuSplit {
  return {
    proxy: after.proxy - before.proxy,
    node: after.node - before.node,
    other: after.other - before.other,
  };
}

/** Resident bytes of all these processes together. */
export function residentBytes(pids: readonly number[]): number {
  let bytes = 0;
  for (const pid of pids) bytes += parseRssBytes(readProc(pid, 'status'));
  return bytes;
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (cause) {
    throw new BenchError(
      'BENCH_RUN_FAILED',
      `process ${pid} is gone in the middle of a measurement`,
      { cause },
    );
  }
}
