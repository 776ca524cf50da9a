/** `springtide upgrade`: takes a cache to another engine version while it serves. */
import type { Command } from 'commander';
import { ENGINE_LINES } from '../model/cache-spec.ts';
import { plural } from './cache-words.ts';
import {
  clientOf,
  dataDirSuffix,
  integer,
  oneOf,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { followChange } from './follow-change.ts';
import type { Terminal } from './terminal.ts';

interface UpgradeOptions extends DataDirOption {
  readonly engineVersion: string;
  readonly parallel: number;
  readonly json?: boolean;
}

export function registerUpgrade(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('upgrade')
        .description(
          'take a cache to another engine version, or back, while it serves: each node is replaced by a new one',
        )
        .argument('<name>', 'cache')
        .requiredOption(
          '--engine-version <version>',
          `one of ${ENGINE_LINES.join(', ')}`,
          oneOf(ENGINE_LINES),
        )
        .option('--parallel <shards>', 'shards at a time', integer(1, 500), 1),
    ),
  ).action(async (name: string, options: UpgradeOptions) => {
    const { engineVersion, parallel: parallelShards } = options;
    await followChange(clientOf(options, terminal), terminal, {
      title: `Cache ${name}: to Valkey ${engineVersion}`,
      path: `/v1/caches/${encodeURIComponent(name)}/upgrade`,
      body: { engineVersion, parallelShards },
      json: options.json === true,
      follow: `${terminal.program} status ${name}${dataDirSuffix(options)}`,
      done: (cache) =>
        `Cache ${cache.spec.name} runs Valkey ${cache.engineFullVersion} on ${plural(cache.nodes.length, 'node')}`,
    });
  });
}
