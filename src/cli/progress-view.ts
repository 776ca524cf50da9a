/**
 * One step of work shown while it runs: a spinner with what it does now on a terminal (listr2), plain lines otherwise.
 * Progress goes to standard error when it is not a terminal, so that `--json` output stays clean.
 */
import { Listr } from 'listr2';
import type { CacheStatus, Progress } from '../model/admin-api.ts';
import type { Terminal } from './terminal.ts';

const BAR_CELLS = 24;

/** Says what is being done now. `fraction` 0..1 where it is known. */
export type Report = (doing: string, fraction?: number) => void;

/**
 * Runs `work` under `title`.
 * @param plain lines on standard error even on a terminal (with `--json`)
 * @returns what `work` returns; a string replaces the title when the step is done
 */
export async function runStep<Result>(
  terminal: Terminal,
  title: string,
  work: (report: Report) => Promise<Result>,
  plain = false,
): Promise<Result> {
  if (plain || !terminal.interactive) return runPlain(terminal, title, work);
  let result: Result | undefined;
  await new Listr(
    [
      {
        title,
        task: async (_context, task) => {
          result = await work((doing, fraction) => {
            task.output = fraction === undefined ? doing : `${bar(fraction)} ${doing}`;
          });
          if (typeof result === 'string') task.title = result;
        },
      },
    ],
    // The caller prints errors once, in its own words, and owns the signals.
    {
      registerSignalListeners: false,
      rendererOptions: { showErrorMessage: false, collapseErrors: false },
    },
  ).run();
  return result as Result;
}

async function runPlain<Result>(
  terminal: Terminal,
  title: string,
  work: (report: Report) => Promise<Result>,
): Promise<Result> {
  terminal.err(`${title} ...`);
  let last = '';
  let lastTenth = -1;
  const result = await work((doing, fraction) => {
    // A log wants a line when the work changes and now and then while it goes on, not one per packet.
    const key = doing.replace(/[\d.,]+/g, '#');
    const tenth = fraction === undefined ? -1 : Math.floor(fraction * 10);
    if (key === last && tenth === lastTenth) return;
    last = key;
    lastTenth = tenth;
    terminal.err(fraction === undefined ? `  ${doing}` : `  ${percent(fraction)} ${doing}`);
  });
  terminal.err(typeof result === 'string' ? result : `${title}: done`);
  return result;
}

function percent(fraction: number): string {
  return `${Math.round(Math.min(1, Math.max(0, fraction)) * 100)}%`.padStart(4);
}

function bar(fraction: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_CELLS);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${percent(fraction)}`;
}

/** Follows an operation of the daemon to its end; the cache it made or changed, where it names one. */
export async function followProgress(
  stream: AsyncIterable<Progress>,
  report: Report,
): Promise<CacheStatus | null> {
  for await (const line of stream) {
    if (line.type === 'progress')
      report(line.detail ? `${line.step}: ${line.detail}` : line.step, line.fraction);
    else if (line.type === 'done') return line.cache ?? null;
  }
  return null;
}
