/** `springtide delete`: takes a cache and its data away. */
import type { Command } from 'commander';
import type { CacheStatus } from '../model/admin-api.ts';
import { keyCount } from './cache-words.ts';
import { CliError } from './cli-error.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { formatCount } from '../lib/human-units.ts';
import { ask } from './password-input.ts';
import { followProgress, runStep } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

export function registerDelete(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('delete')
        .alias('rm')
        .description('delete a cache and all its data')
        .argument('<name>', 'cache')
        .option('-y, --yes', 'do not ask'),
    ),
  ).action(async (name: string, options: DataDirOption & { yes?: boolean; json?: boolean }) => {
    const client = clientOf(options, terminal);
    const path = `/v1/caches/${encodeURIComponent(name)}`;
    const cache = await client.call<CacheStatus>('GET', path);
    if (!options.yes) await confirm(cache, terminal);
    await runStep(
      terminal,
      `Cache ${cache.spec.name}: deleting`,
      async (report) => {
        await followProgress(client.stream('DELETE', path), report);
        return `Cache ${cache.spec.name} is deleted`;
      },
      options.json === true,
    );
    if (options.json) terminal.out(JSON.stringify({ deleted: cache.spec.name }));
  });
}

async function confirm(cache: CacheStatus, terminal: Terminal): Promise<void> {
  const { name } = cache.spec;
  if (!terminal.canAsk)
    throw new CliError(
      'USAGE',
      `Deleting ${name} needs a confirmation, and there is no terminal to ask on.`,
      {
        hint: 'Add --yes.',
      },
    );
  const answer = await ask(
    `Delete cache ${name} with its ${formatCount(keyCount(cache))} keys? [y/N] `,
  );
  if (!/^y(es)?$/i.test(answer.trim()))
    throw new CliError('FAILED', `Cache ${name} was not deleted.`);
}
