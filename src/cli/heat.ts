/** `springtide heat NAME`: where the load of a cache is, once, or live with --watch. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import { SLOT_MEASURES, type CacheHeatAnswer, type SlotMeasure } from '../model/heat.ts';
import type { ApiClient } from './api-client.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { heatLines } from './heat-view.ts';
import { LiveView } from './live-view.ts';
import type { Terminal } from './terminal.ts';

const INTERVAL_MS = 1000;
/** On the command line, for each of SLOT_MEASURES. */
const MEASURE_WORDS: Readonly<Record<SlotMeasure, string>> = {
  requests: 'requests',
  ecpu: 'ecpu',
  bytesIn: 'in',
  bytesOut: 'out',
};

interface HeatOptions extends DataDirOption {
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly by: string;
}

export function registerHeat(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('heat')
        .description(
          'show where the load of a cache is: a map of its slots, hot slots and keys, nodes',
        )
        .argument('<name>', 'cache')
        .addOption(
          new Option('--by <measure>', 'what the map and the slots are drawn by')
            .choices(Object.values(MEASURE_WORDS))
            .default(MEASURE_WORDS.ecpu),
        )
        .option('-w, --watch', 'again and again; with --json one object a line'),
    ),
  ).action(async (name: string, options: HeatOptions) => {
    const client = clientOf(options, terminal);
    const measure = SLOT_MEASURES.find((each) => MEASURE_WORDS[each] === options.by)!;
    const read = () => heatOf(client, name);
    if (options.watch && !options.json && terminal.interactive)
      return watchLive(read, measure, terminal);
    for (;;) {
      const heat = await read();
      if (options.json) terminal.out(JSON.stringify(heat));
      else terminal.out(heatLines(heat, measure, terminal).join('\n'));
      if (!options.watch) return;
      await sleep(INTERVAL_MS);
    }
  });
}

function heatOf(client: ApiClient, name: string): Promise<CacheHeatAnswer> {
  return client.call<CacheHeatAnswer>('GET', `/v1/caches/${encodeURIComponent(name)}/heat`);
}

async function watchLive(
  read: () => Promise<CacheHeatAnswer>,
  measure: SlotMeasure,
  terminal: Terminal,
): Promise<void> {
  // Before the screen changes: what is wrong at once is told as usual.
  let heat = await read();
  using view = new LiveView(terminal);
  while (!view.quit.aborted) {
    view.show([
      terminal.paint('dim', `${new Date().toTimeString().slice(0, 8)}  (q quits)`),
      ...heatLines(heat, measure, terminal),
    ]);
    await sleep(INTERVAL_MS, undefined, { signal: view.quit }).catch(() => undefined);
    // The daemon may be away for a while: what was last known stays.
    heat = await read().catch(() => heat);
  }
}
