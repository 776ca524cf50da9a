/** `springtide replace`: a new node in the place of one, while the cache serves. */
import type { Command } from 'commander';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
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
    await followChange(clientOf(options, terminal), terminal, {
      title: `Cache ${name}: replacing ${options.node}`,
      path: `/v1/caches/${encodeURIComponent(name)}/nodes/${encodeURIComponent(options.node)}/replace`,
      body: {},
      json: options.json === true,
      done: () => `Node ${options.node} is replaced`,
    });
  });
}
