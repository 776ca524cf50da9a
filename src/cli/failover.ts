/** `springtide failover`: makes a replica the primary of its shard, losing nothing. */
import type { Command } from 'commander';
import { CliError } from './cli-error.ts';
import {
  clientOf,
  dataDirSuffix,
  integer,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import type { CacheStatus } from '../model/admin-api.ts';
import { followProgress, runStep } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

export function registerFailover(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('failover')
        .description('make a replica the primary of its shard, without losing or refusing anything')
        .argument('<name>', 'cache')
        .argument('<shard>', 'number of the shard, as "status NAME" shows it', integer(0, 499)),
    ),
  ).action(async (name: string, shard: number, options: DataDirOption & { json?: boolean }) => {
    const client = clientOf(options, terminal);
    const path = `/v1/caches/${encodeURIComponent(name)}`;
    const cache = await client.call<CacheStatus>('GET', path);
    const nodes = cache.nodes.filter((node) => node.shard === shard);
    if (nodes.length === 0)
      throw new CliError('NOT_FOUND', `Cache ${cache.spec.name} has no shard ${shard}.`);
    if (!nodes.some((node) => node.role === 'replica'))
      throw new CliError(
        'CONFLICT',
        `Shard ${shard} of ${cache.spec.name} has no replica to fail over to.`,
        {
          hint: `Give it one: ${terminal.program} modify ${cache.spec.name} --replicas 1${dataDirSuffix(options)}`,
        },
      );
    await runStep(
      terminal,
      `Shard ${shard} of ${cache.spec.name}: failing over`,
      async (report) => {
        await followProgress(
          client.stream('POST', `${path}/failover`, { body: { shard } }),
          report,
        );
        return `Shard ${shard} of ${cache.spec.name} has a new primary`;
      },
      options.json === true,
    );
    const later = await client.call<CacheStatus>('GET', path);
    const primary = later.nodes.find((node) => node.shard === shard && node.role === 'primary');
    if (options.json)
      terminal.out(JSON.stringify({ cache: cache.spec.name, shard, primary: primary ?? null }));
    else if (primary) terminal.out(`Primary: ${primary.id} (${primary.host}:${primary.port})`);
  });
}
