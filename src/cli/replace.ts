/** `springtide replace`: a new node in the place of one, while the cache serves. */
import type { Command } from 'commander';
import type { CacheStatus } from '../model/admin-api.ts';
import { CliError } from './cli-error.ts';
import {
  clientOf,
  dataDirSuffix,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { followChange } from './follow-change.ts';
import type { Terminal } from './terminal.ts';

interface ReplaceOptions extends DataDirOption {
  readonly node: string;
  readonly json?: boolean;
}

export function registerReplace(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('replace')
        .description('put a new node in the place of one, without losing or refusing anything')
        .argument('<name>', 'cache')
        .requiredOption('--node <id>', 'node, as "status NAME" shows it'),
    ),
  ).action(async (name: string, options: ReplaceOptions) => {
    const client = clientOf(options, terminal);
    const { spec, nodes } = await client.call<CacheStatus>(
      'GET',
      `/v1/caches/${encodeURIComponent(name)}`,
    );
    if (!nodes.some(({ id }) => id === options.node))
      throw new CliError('NOT_FOUND', `Cache ${spec.name} has no node ${options.node}.`, {
        hint: `There are: ${nodes.map(({ id }) => id).join(', ')}`,
      });
    await followChange(client, terminal, {
      title: `Cache ${name}: replacing ${options.node}`,
      path: `/v1/caches/${encodeURIComponent(name)}/nodes/${encodeURIComponent(options.node)}/replace`,
      body: {},
      json: options.json === true,
      follow: `${terminal.program} status ${name}${dataDirSuffix(options)}`,
      done: () => `Node ${options.node} is replaced`,
    });
  });
}
