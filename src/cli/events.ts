/** `springtide events`: what happened, newest last. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { clientOf, integer, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { CliError } from './cli-error.ts';
import { eventLine, EventFeed } from './event-feed.ts';
import type { Terminal } from './terminal.ts';

const POLL_MS = 500;
const DEFAULT_LINES = 50;
/** As many as are kept: between two looks none is left out. */
const ALL = 10_000;

interface EventsOptions extends DataDirOption {
  readonly follow?: boolean;
  readonly json?: boolean;
  readonly lines: number;
}

export function registerEvents(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('events')
        .description('show what happened: failovers, restarts, caches made and deleted')
        .argument('[name]', 'cache, also one that is deleted (default: all, and the proxies)')
        .option(
          '-f, --follow',
          'go on with what happens from now on; with --json one object a line',
        )
        .option('-n, --lines <count>', 'last events', integer(1, ALL), DEFAULT_LINES),
    ),
  ).action(async (name: string | undefined, options: EventsOptions) => {
    const feed = new EventFeed(clientOf(options, terminal), name);
    const first = await feed.next(options.lines);
    if (options.json && !options.follow) return terminal.out(JSON.stringify(first, null, 2));
    const print = (events: typeof first) => {
      for (const event of events)
        terminal.out(options.json ? JSON.stringify(event) : eventLine(event, terminal));
    };
    print(first);
    if (first.length === 0 && !options.json)
      terminal.err(
        name === undefined
          ? 'Nothing has happened yet.'
          : `There are no events of a cache ${name}.`,
      );
    while (options.follow) {
      await sleep(POLL_MS);
      print(await nextIfRunning(feed));
    }
  });
}

/** A daemon that is being restarted is waited for. */
async function nextIfRunning(feed: EventFeed) {
  try {
    return await feed.next(ALL);
  } catch (error) {
    if (error instanceof CliError && error.code === 'NOT_RUNNING') return [];
    throw error;
  }
}
