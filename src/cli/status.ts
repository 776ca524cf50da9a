/** `springtide status [NAME]`: once, or live with --watch. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import type { CacheEvent, CacheStatus, SystemStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { CliError } from './cli-error.ts';
import {
  argument,
  clientOf,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { formatCount, parseDurationMs } from '../lib/human-units.ts';
import { LiveView } from './live-view.ts';
import { eventLine, EventFeed } from './event-feed.ts';
import { cacheLines, systemLines } from './status-view.ts';
import type { Terminal } from './terminal.ts';
import { usedMemoryBytes } from './cache-words.ts';
import { formatBytes } from '../lib/human-units.ts';

const DEFAULT_INTERVAL_MS = 1000;
const MINIMUM_INTERVAL_MS = 100;
const EVENTS_KEPT = 50;
const EVENTS_SHOWN = 8;

interface StatusOptions extends DataDirOption {
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly interval: number;
}

export function registerStatus(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('status')
        .description('show everything, or one cache with its traffic and nodes')
        .argument('[name]', 'cache')
        .option(
          '-w, --watch',
          'live view; plain lines when the output is not a terminal; with --json one object a line',
        )
        .addOption(
          new Option('--interval <duration>', 'between readings of --watch')
            .argParser(argument(parseDurationMs))
            .default(DEFAULT_INTERVAL_MS, '1s'),
        ),
    ),
  ).action(async (name: string | undefined, options: StatusOptions) => {
    const client = clientOf(options, terminal);
    if (!options.watch) return showOnce(name, options, client, terminal);
    if (options.interval < MINIMUM_INTERVAL_MS)
      throw new CliError(
        'USAGE',
        `An interval below ${MINIMUM_INTERVAL_MS} ms would show the daemon's own work.`,
      );
    if (options.json || !terminal.interactive) return watchPlain(name, options, client, terminal);
    return watchLive(name, options, client, terminal);
  });
}

async function showOnce(
  name: string | undefined,
  options: StatusOptions,
  client: ApiClient,
  terminal: Terminal,
): Promise<void> {
  if (name === undefined) {
    const status = await client.call<SystemStatus>('GET', '/v1/status');
    if (options.json) return terminal.out(JSON.stringify(status, null, 2));
    return terminal.out(systemLines(status, Date.now(), terminal).join('\n'));
  }
  const cache = await client.call<CacheStatus>('GET', `/v1/caches/${encodeURIComponent(name)}`);
  if (options.json) return terminal.out(JSON.stringify(cache, null, 2));
  terminal.out(cacheLines(cache, null, Date.now(), terminal).join('\n'));
}

/** The caches that are watched: the one named, or all. Throws NOT_FOUND. */
function watched(status: SystemStatus, name: string | undefined): readonly CacheStatus[] {
  if (name === undefined) return status.caches;
  const cache = status.caches.find((candidate) => candidate.spec.name === name.toLowerCase());
  if (!cache) throw new CliError('NOT_FOUND', `There is no cache named ${name}.`);
  return [cache];
}

async function watchLive(
  name: string | undefined,
  options: StatusOptions,
  client: ApiClient,
  terminal: Terminal,
): Promise<void> {
  // Before the screen changes: what is wrong at once is told as usual.
  let status = await client.call<SystemStatus>('GET', '/v1/status');
  watched(status, name);
  let earlier: SystemStatus | null = null;
  const feed = new EventFeed(client, name);
  const events = (await feed.next(EVENTS_KEPT)).map((event) => eventLine(event, terminal));
  using view = new LiveView(terminal);
  while (!view.quit.aborted) {
    view.show(liveLines(status, earlier, name, events, null, terminal));
    await sleep(options.interval, undefined, { signal: view.quit }).catch(() => undefined);
    if (view.quit.aborted) return;
    const next = await client.statusOrNull().catch(() => null);
    if (next === null) {
      view.show(
        liveLines(
          status,
          earlier,
          name,
          events,
          'The daemon does not answer; caches go on serving without it.',
          terminal,
        ),
      );
      continue;
    }
    const news = await feed.next(EVENTS_KEPT).catch(() => []);
    events.push(...news.map((event) => eventLine(event, terminal)));
    events.splice(0, Math.max(0, events.length - EVENTS_KEPT));
    earlier = status;
    status = next;
  }
}

function liveLines(
  status: SystemStatus,
  earlier: SystemStatus | null,
  name: string | undefined,
  events: readonly string[],
  warning: string | null,
  terminal: Terminal,
): string[] {
  const nowMs = Date.now();
  const before = (cache: CacheStatus) =>
    earlier?.caches.find((candidate) => candidate.id === cache.id) ?? null;
  const caches =
    name === undefined
      ? status.caches
      : status.caches.filter((cache) => cache.spec.name === name.toLowerCase());
  const only = caches.length === 1 ? caches[0]! : null;
  const body = only
    ? [
        ...cacheLines(only, before(only), nowMs, terminal),
        ...(name === undefined
          ? ['', ...systemLines(status, nowMs, terminal).slice(-status.proxies.length - 1)]
          : []),
      ]
    : systemLines(status, nowMs, terminal);
  const recent = events.slice(-EVENTS_SHOWN);
  return [
    terminal.paint(
      'dim',
      `${clockTime()}  springtide ${status.version}  ${status.dataDir}  (q quits)`,
    ),
    warning === null ? '' : terminal.paint('red', warning),
    ...body,
    '',
    terminal.paint('bold', 'EVENTS'),
    ...(recent.length === 0 ? [terminal.paint('dim', 'none')] : recent),
  ];
}

async function watchPlain(
  name: string | undefined,
  options: StatusOptions,
  client: ApiClient,
  terminal: Terminal,
): Promise<void> {
  const feed = new EventFeed(client, name);
  // What was before this view is for `events`.
  let news: CacheEvent[] = (await feed.next(1)).slice(1);
  for (;;) {
    const status = await client.call<SystemStatus>('GET', '/v1/status');
    const caches = watched(status, name);
    if (options.json) {
      terminal.out(JSON.stringify(name === undefined ? status : caches[0]));
    } else {
      for (const { kind, message } of news) terminal.out(`${clockTime()} event ${kind} ${message}`);
      for (const cache of caches) terminal.out(`${clockTime()} ${plainLine(cache)}`);
    }
    await sleep(options.interval);
    news = await feed.next(EVENTS_KEPT);
  }
}

/** One reading as `key=value` words, for logs and awk. */
function plainLine(cache: CacheStatus): string {
  const { traffic } = cache;
  const online = cache.nodes.filter((node) => node.state === 'online').length;
  return [
    cache.spec.name,
    cache.state,
    `requests/s=${traffic ? formatCount(traffic.requestsPerSecond) : '-'}`,
    `clients=${traffic?.connections ?? '-'}`,
    `nodes=${online}/${cache.nodes.length}`,
    `memory=${formatBytes(usedMemoryBytes(cache)).replace(' ', '')}`,
  ].join(' ');
}

function clockTime(): string {
  return new Date().toTimeString().slice(0, 8);
}
