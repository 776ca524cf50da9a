/** `springtide restart`: every node of a cache is replaced by a new process, shard by shard, while it serves. */
import type { Command } from 'commander';
import { plural } from './cache-words.ts';
import {
  clientOf,
  dataDirSuffix,
  integer,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { followChange } from './follow-change.ts';
import type { Terminal } from './terminal.ts';

interface RestartOptions extends DataDirOption {
  readonly parallel: number;
  readonly json?: boolean;
}

export function registerRestart(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('restart')
        .description(
          'give every node a new process (new settings, a patched engine), without losing or refusing anything',
        )
        .argument('<name>', 'cache')
        .option('--parallel <shards>', 'shards at a time', integer(1, 500), 1),
    ),
  ).action(async (name: string, options: RestartOptions) => {
    await followChange(clientOf(options, terminal), terminal, {
      title: `Cache ${name}: restarting its nodes`,
      path: `/v1/caches/${encodeURIComponent(name)}/restart`,
      body: { parallelShards: options.parallel },
      json: options.json === true,
      follow: `${terminal.program} status ${name}${dataDirSuffix(options)}`,
      done: (cache) =>
        `The ${plural(cache.nodes.length, 'node')} of ${cache.spec.name} run anew, on Valkey ${cache.engineFullVersion}`,
    });
  });
}
