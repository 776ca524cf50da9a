/** The daemon's log: JSON lines into its file, and onto standard error too where a person or a supervisor reads that. */
import { fstatSync, openSync } from 'node:fs';
import { pino, multistream, type Logger } from 'pino';
import { LogFile } from './log-file.ts';

/** Fields that hold secrets, wherever an object with them is logged. */
const REDACTED = [
  'password',
  'passwords',
  'passwordHashes',
  'systemSecret',
  'upstreamSecret',
  '*.password',
  '*.passwords',
  '*.passwordHashes',
  '*.systemSecret',
  '*.upstreamSecret',
];

export function openDaemonLog(path: string): Logger {
  const fd = openSync(path, 'a', 0o600);
  // Synchronous: the last lines before a crash are the ones that matter, and the daemon logs little.
  const streams = [{ stream: new LogFile(fd) }];
  // The CLI starts the daemon with standard error already in this file.
  if (!isSameFile(fd, 2)) streams.push({ stream: new LogFile(2) });
  return pino({ redact: REDACTED, base: { pid: process.pid } }, multistream(streams));
}

function isSameFile(a: number, b: number): boolean {
  try {
    const [first, second] = [fstatSync(a), fstatSync(b)];
    return first.dev === second.dev && first.ino === second.ino;
  } catch {
    // A closed standard error is nowhere to write to.
    return true;
  }
}
