import { spawn } from 'node:child_process';

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Lines that the program writes to file descriptor 3. */
  readonly onStatusLine?: (line: string) => void;
}

const KEPT_OUTPUT_CHARS = 1 << 20;

/**
 * Runs a program to its end and returns what it said. A non-zero exit is a result, not an error; only a program that
 * cannot be started (ENOENT, EACCES, ENOEXEC) or is aborted rejects, with Node's own error.
 */
export function runCommand(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const [program = '', ...args] = argv;
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe', options.onStatusLine === undefined ? 'ignore' : 'pipe'],
      env: options.env ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.timeoutMs === undefined
        ? {}
        : { timeout: options.timeoutMs, killSignal: 'SIGKILL' }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < KEPT_OUTPUT_CHARS) stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < KEPT_OUTPUT_CHARS) stderr += text;
    });
    const status = child.stdio[3];
    if (
      options.onStatusLine !== undefined &&
      status !== null &&
      status !== undefined &&
      'read' in status
    ) {
      let rest = '';
      status.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) options.onStatusLine?.(line);
      });
    }
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
