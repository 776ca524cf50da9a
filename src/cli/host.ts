/** `springtide host list|drain|undrain|remove`: the machines that nodes run on. */
import type { Command } from 'commander';
import { formatBytes } from '../lib/human-units.ts';
import type { HostStatus } from '../model/admin-api.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { followProgress, runStep } from './progress-view.ts';
import { formatTable } from './table.ts';
import type { Style, Terminal } from './terminal.ts';

interface HostOptions extends DataDirOption {
  readonly json?: boolean;
}

interface Emptying {
  readonly id: string;
  readonly title: string;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly done: string;
}

const STATE_STYLES: Readonly<Record<HostStatus['state'], Style>> = {
  reachable: 'green',
  draining: 'cyan',
  drained: 'yellow',
  lost: 'red',
  removed: 'red',
};

export function registerHost(program: Command, terminal: Terminal): void {
  const host = program.command('host').description('the machines that nodes run on');

  withJson(
    withDataDir(
      host.command('list').alias('ls').description('hosts, their state and what they have'),
    ),
  ).action(async (options: HostOptions) => {
    const hosts = await listHosts(options, terminal);
    if (options.json) return terminal.out(JSON.stringify(hosts, null, 2));
    terminal.out(hostTable(hosts, terminal).join('\n'));
  });

  withJson(
    withDataDir(
      host
        .command('drain')
        .description('put nodes on other hosts in the places of its own, while the caches serve')
        .argument('<id>', 'host, as "host list" shows it'),
    ),
  ).action((id: string, options: HostOptions) =>
    empty(options, terminal, {
      id,
      title: `Host ${id}: moving its nodes to other hosts`,
      path: 'drain',
      body: {},
      done: `Host ${id} has no nodes any more, and takes none`,
    }),
  );

  withJson(
    withDataDir(
      host
        .command('undrain')
        .description('have it take nodes again')
        .argument('<id>', 'host, as "host list" shows it'),
    ),
  ).action(async (id: string, options: HostOptions) => {
    const path = `/v1/hosts/${encodeURIComponent(id)}/undrain`;
    const status = await clientOf(options, terminal).call<HostStatus>('POST', path, {});
    if (options.json) return terminal.out(JSON.stringify(status));
    terminal.out(`Host ${id} takes nodes.`);
  });

  withJson(
    withDataDir(
      host
        .command('remove')
        .alias('rm')
        .description('give up one that cannot be reached and does not come back')
        .argument('<id>', 'host, as "host list" shows it')
        .option(
          '--dead',
          'its nodes have ended: you have made sure of it. If they run, there are two primaries, and writes are lost',
        ),
    ),
  ).action((id: string, options: HostOptions & { readonly dead?: boolean }) =>
    empty(options, terminal, {
      id,
      title: `Host ${id}: putting others in the places of its nodes`,
      path: 'remove',
      body: { dead: options.dead === true },
      done: `Host ${id} is given up; others are in the places of its nodes`,
    }),
  );
}

function listHosts(options: HostOptions, terminal: Terminal): Promise<HostStatus[]> {
  return clientOf(options, terminal).call<HostStatus[]>('GET', '/v1/hosts');
}

async function empty(options: HostOptions, terminal: Terminal, what: Emptying): Promise<void> {
  const path = `/v1/hosts/${encodeURIComponent(what.id)}/${what.path}`;
  await runStep(
    terminal,
    what.title,
    async (report) => {
      const stream = clientOf(options, terminal).stream('POST', path, { body: what.body });
      await followProgress(stream, report);
      return what.done;
    },
    options.json === true,
  );
  if (!options.json) return;
  const hosts = await listHosts(options, terminal);
  terminal.out(JSON.stringify(hosts.find(({ id }) => id === what.id) ?? null));
}

function hostTable(hosts: readonly HostStatus[], terminal: Terminal): string[] {
  return formatTable(
    [
      { title: 'HOST' },
      { title: 'ZONE' },
      { title: 'ADDRESS' },
      { title: 'STATE' },
      { title: 'NODES', align: 'right' },
      { title: 'WARM', align: 'right' },
      { title: 'CORES', align: 'right' },
      { title: 'MEMORY FREE', align: 'right' },
    ],
    hosts.map((host) => [
      host.id,
      host.zone,
      host.address,
      terminal.paint(STATE_STYLES[host.state] ?? 'yellow', host.state),
      String(host.nodes),
      String(host.warmNodes),
      String(host.cores),
      host.freeMemoryBytes === null ? '-' : formatBytes(host.freeMemoryBytes),
    ]),
    (text) => terminal.paint('bold', text),
  );
}
