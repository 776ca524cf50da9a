/** `springtide modify`: other limits, shards or replicas for a cache that runs. */
import { isDeepStrictEqual } from 'node:util';
import type { Command } from 'commander';
import { parseBytes, parseCount, parseDurationMs } from '../lib/human-units.ts';
import type { CacheChange, CacheStatus } from '../model/admin-api.ts';
import { CliError } from './cli-error.ts';
import {
  argument,
  clientOf,
  dataDirSuffix,
  integer,
  oneOf,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { requireChangeable } from './spec-input.ts';
import type { Terminal } from './terminal.ts';

interface ModifyOptions extends DataDirOption {
  readonly json?: boolean;
  readonly shards?: number;
  readonly shardsMax?: number;
  readonly replicas?: number;
  readonly deadline?: number;
  readonly nearCache?: 'on' | 'off';
  readonly memoryMin?: number;
  readonly memoryMax?: number;
  readonly ecpuMin?: number;
  readonly ecpuMax?: number;
  readonly connectionsMax?: number;
}

export function registerModify(program: Command, terminal: Terminal): void {
  const bytes = argument(parseBytes);
  const count = argument(parseCount);
  withJson(
    withDataDir(
      program
        .command('modify')
        .description(
          'change the limits of a cache while it serves; a minimum is prepared for at once',
        )
        .argument('<name>', 'cache')
        .option('--shards <count>', 'never fewer shards than this', integer(1, 500))
        .option('--shards-max <count>', 'never more; 0: as many as the hosts hold', integer(0, 500))
        .option('--replicas <count>', 'replicas of each shard', integer(0, 5))
        .option('--memory-min <size>', 'data to be ready for; 0: none', bytes)
        .option('--memory-max <size>', 'limit of data; 0: none', bytes)
        .option('--ecpu-min <count>', 'ECPU per second to be ready for; 0: none', count)
        .option('--ecpu-max <count>', 'limit of ECPU per second; 0: none', count)
        .option('--connections-max <count>', 'limit of client connections', count)
        .option(
          '--deadline <duration>',
          'how long a request may be held while shards fail over or move',
          argument(parseDurationMs),
        )
        .option(
          '--near-cache <on|off>',
          'on: proxies answer reads of hot keys themselves, at most 100 ms behind',
          oneOf(['on', 'off']),
        ),
    ),
  ).action(async (name: string, options: ModifyOptions) => {
    const body = changeOf(options);
    if (Object.keys(body).length === 0)
      throw new CliError('USAGE', 'Nothing was given that should change.', {
        hint: `${terminal.program} modify --help`,
      });
    const client = clientOf(options, terminal);
    const path = `/v1/caches/${encodeURIComponent(name)}`;
    const before = await client.call<CacheStatus>('GET', path);
    requireChangeable(before.spec, body);
    const cache = await client.call<CacheStatus>('PATCH', path, { body });
    if (options.json) return terminal.out(JSON.stringify(cache.spec, null, 2));
    if (isDeepStrictEqual(cache.spec, before.spec))
      return terminal.out(`Cache ${cache.spec.name} is so already: nothing is changed.`);
    terminal.out(
      `Cache ${cache.spec.name} is changed. What follows from it: ${terminal.program} explain ${cache.spec.name}${dataDirSuffix(options)}`,
    );
  });
}

function changeOf(options: ModifyOptions): CacheChange {
  const limits = present({
    memoryMinimumBytes: options.memoryMin,
    memoryMaximumBytes: options.memoryMax,
    ecpuPerSecondMinimum: options.ecpuMin,
    ecpuPerSecondMaximum: options.ecpuMax,
    connectionsMaximum: options.connectionsMax,
  });
  return {
    ...present({
      shards: options.shards,
      shardsMaximum: options.shardsMax,
      replicas: options.replicas,
      deadlineMs: options.deadline,
    }),
    ...(options.nearCache === undefined ? {} : { nearCache: options.nearCache === 'on' }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  };
}

function present(fields: Record<string, number | undefined>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}
