/** For tests: runs the real command as a process and collects what it said. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

export interface CliResult {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** Called with all of standard output after each piece of it, e.g. to send a signal. */
  readonly onOutput?: (out: string, kill: (signal: NodeJS.Signals) => void) => void;
  /** The same for standard error, where progress is told. */
  readonly onProgress?: (err: string, kill: (signal: NodeJS.Signals) => void) => void;
}

export function runCli(args: readonly string[], options: RunOptions = {}): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NO_COLOR: '1', SPRINGTIDE_PROGRAM: 'springtide', ...options.env };
    const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: 'pipe' });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      options.onOutput?.(out, (signal) => child.kill(signal));
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      options.onProgress?.(err, (signal) => child.kill(signal));
    });
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, out, err }));
    child.stdin.end(options.input ?? '');
  });
}
