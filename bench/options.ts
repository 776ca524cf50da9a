import { InvalidArgumentError, Option } from 'commander';
import { program } from '../src/lib/program.ts';
import type { Address, Credentials } from './admin.ts';
import type { PidsByRole } from './cpu.ts';
import { count, counts, natural, positive, someOf } from './option-values.ts';
import type { Cell } from './sample.ts';
import { parseAddress, type RunningSpringtide } from './targets/springtide.ts';

export const TARGET_NAMES = [
  'direct',
  'single',
  'springtide',
  'predixy',
  'twemproxy',
  'haproxy',
] as const;
export type TargetName = (typeof TARGET_NAMES)[number];
// The single node is what haproxy stands before; everyone else is compared with the cluster.
const DEFAULT_TARGETS: readonly TargetName[] = [
  'direct',
  'springtide',
  'predixy',
  'twemproxy',
  'haproxy',
];

/** What the user asked for, checked. */
export interface BenchOptions {
  readonly targets: readonly TargetName[];
  /** One Springtide target for each number of proxies. */
  readonly proxies: readonly number[];
  readonly cells: readonly Cell[];
  readonly repetitions: number;
  readonly secondsPerRun: number;
  /** Idle connections to hold; 0 leaves that part out. */
  readonly idleConnections: number;
  readonly jsonFile: string | null;
  readonly svgFile: string | null;
  /** Results to show again instead of measuring. */
  readonly fromFile: string | null;
  readonly running: RunningSpringtide | null;
}

interface RawOptions {
  quick?: boolean;
  only: TargetName[];
  proxies?: number[];
  clients?: number[];
  pipeline?: number[];
  tls?: 'on' | 'off' | 'only';
  repetitions?: number;
  seconds?: number;
  idle?: number;
  json?: string;
  svg?: string;
  from?: string;
  springtide?: Address;
  springtideTls?: boolean;
  springtideUser?: string;
  springtidePassword?: string;
  springtideProxyPids?: number[];
  springtideNodePids?: number[];
}

/** Reads a command line; prints help or a usage error and ends the process where commander would. */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const command = program('npm run bench --')
    .description(
      'Measures Springtide beside direct connections and its peers, all in one interleaved run.',
    )
    .option(
      '--quick',
      'a first impression: 10, 50 and 200 clients, no TLS, one repetition, no idle connections',
    )
    .addOption(
      new Option('--only <targets>', `some of: ${TARGET_NAMES.join(', ')}`)
        .default([...DEFAULT_TARGETS], 'all but single')
        .argParser(someOf(TARGET_NAMES)),
    )
    .option(
      '--proxies <counts>',
      'proxy processes of Springtide, one target for each (default: 1,2; quick: 1)',
      counts,
    )
    .option('--clients <counts>', 'default: 10,50,200,1000', counts)
    .option('--pipeline <depths>', 'default: 1,16', counts)
    .addOption(
      new Option('--tls <which>', 'cells with TLS (default: on)').choices(['on', 'off', 'only']),
    )
    .option('--repetitions <n>', 'default: 3', count)
    .option('--seconds <s>', 'about how long one run lasts (default: 3.5)', positive)
    .option('--idle <n>', 'idle connections to hold, 0 for none (default: 10000)', natural)
    .option('--json <file>', 'write all results')
    .option('--svg <file>', 'draw them')
    .option('--from <file>', 'show and draw results written by --json, measure nothing')
    .option(
      '--springtide <host:port>',
      'measure this running Springtide instead of starting one',
      parseEndpoint,
    )
    .option('--springtide-tls', 'it takes TLS on the same port too')
    .option('--springtide-user <name>', 'log in to it')
    .option('--springtide-password <password>', 'log in to it')
    .option('--springtide-proxy-pids <pids>', 'its proxies, for their CPU', counts)
    .option('--springtide-node-pids <pids>', 'its nodes, for their CPU', counts);
  command.parse([...argv], { from: 'user' });
  return checked(command.opts<RawOptions>());
}

function checked(raw: RawOptions): BenchOptions {
  const quick = raw.quick === true;
  return {
    targets: raw.only,
    proxies: raw.proxies ?? (quick ? [1] : [1, 2]),
    cells: chooseCells(
      raw.clients ?? (quick ? [10, 50, 200] : [10, 50, 200, 1000]),
      raw.pipeline ?? [1, 16],
      raw.tls ?? (quick ? 'off' : 'on'),
    ),
    repetitions: raw.repetitions ?? (quick ? 1 : 3),
    secondsPerRun: raw.seconds ?? (quick ? 2 : 3.5),
    idleConnections: raw.idle ?? (quick ? 0 : 10_000),
    jsonFile: raw.json ?? null,
    svgFile: raw.svg ?? null,
    fromFile: raw.from ?? null,
    running: raw.springtide === undefined ? null : runningOf(raw, raw.springtide),
  };
}

/** Plain and TLS of one load stand next to each other: their ratio is one of the goals. */
export function chooseCells(
  clients: readonly number[],
  pipelines: readonly number[],
  tls: 'on' | 'off' | 'only',
): Cell[] {
  const kinds = { on: [false, true], off: [false], only: [true] }[tls];
  return pipelines.flatMap((pipeline) =>
    clients.flatMap((count) => kinds.map((kind) => ({ clients: count, pipeline, tls: kind }))),
  );
}

function runningOf(raw: RawOptions, address: Address): RunningSpringtide {
  const pids: PidsByRole = {
    proxy: raw.springtideProxyPids ?? [],
    node: raw.springtideNodePids ?? [],
    other: [],
  };
  const credentials: Credentials = {
    ...(raw.springtideUser === undefined ? {} : { username: raw.springtideUser }),
    ...(raw.springtidePassword === undefined ? {} : { password: raw.springtidePassword }),
  };
  return { address, tls: raw.springtideTls === true ? 'preferred' : 'off', credentials, pids };
}

function parseEndpoint(value: string): Address {
  try {
    return parseAddress(value);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
