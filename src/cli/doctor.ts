/** `springtide doctor`: looks at the machine and says what to change. Reads only; changes nothing. */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Command } from 'commander';
import { localEngines } from '../daemon/local-engines.ts';
import { messageOf } from '../lib/errors.ts';
import type { SystemStatus } from '../model/admin-api.ts';
import { DEFAULT_ENGINE_LINE } from '../model/cache-spec.ts';
import { plural, splitEndpoint } from './cache-words.ts';
import { EXIT_CODES } from './cli-error.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { freeBytes, nearestExisting } from './disk-space.ts';
import {
  checkDataDir,
  checkDescriptors,
  checkDisk,
  checkEngine,
  checkHugePages,
  checkMemory,
  checkNodeVersion,
  checkOvercommit,
  checkPort,
  checkSomaxconn,
  type AptTools,
  type DirectoryFacts,
  type Finding,
  type Verdict,
} from './doctor-checks.ts';
import { FIRST_CACHE_PORT } from './first-cache.ts';
import { formatAge } from '../lib/human-units.ts';
import { leftoverProcesses } from './leftover-processes.ts';
import { portState } from './ports.ts';
import { formatTable } from './table.ts';
import type { Style, Terminal } from './terminal.ts';

const METRICS_PORT = 9121;
const HOST = '127.0.0.1';
const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
];
const VERDICT_STYLES: Readonly<Record<Verdict, Style>> = {
  ok: 'green',
  warn: 'yellow',
  fail: 'red',
};

interface DoctorOptions extends DataDirOption {
  readonly json?: boolean;
}

export function registerDoctor(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('doctor')
        .description('check this machine and say what to change; ends with 1 when something fails'),
    ),
  ).action(async (options: DoctorOptions) => {
    const findings = await examine(options, terminal);
    const failed = findings.filter((finding) => finding.verdict === 'fail').length;
    const warned = findings.filter((finding) => finding.verdict === 'warn').length;
    process.exitCode = failed > 0 ? EXIT_CODES.FAILED : EXIT_CODES.OK;
    if (options.json) return terminal.out(JSON.stringify(findings, null, 2));
    const rows = findings.map((finding) => [
      terminal.paint(VERDICT_STYLES[finding.verdict], finding.verdict),
      finding.check,
      finding.found,
    ]);
    const [, ...lines] = formatTable([{ title: '' }, { title: '' }, { title: '' }], rows);
    for (const [index, finding] of findings.entries()) {
      terminal.out(lines[index]!);
      if (finding.fix !== null) terminal.out(terminal.paint('dim', `      -> ${finding.fix}`));
    }
    terminal.out('');
    terminal.out(
      failed + warned === 0
        ? terminal.paint('green', 'All is well.')
        : `${plural(failed, 'failure')}, ${plural(warned, 'warning')}.`,
    );
  });
}

async function examine(options: DoctorOptions, terminal: Terminal): Promise<Finding[]> {
  const client = clientOf(options, terminal);
  const status = await client.statusOrNull().catch(() => null);
  const existing = nearestExisting(client.dataDir);
  return [
    checkNodeVersion(process.versions.node),
    ...(await checkEngines(terminal)),
    checkDataDir(directoryFacts(client.dataDir, existing)),
    checkDisk(freeBytes(client.dataDir), client.dataDir),
    checkMemory(availableMemoryBytes(), cgroupMemoryBytes()),
    checkDescriptors(readOrNull('/proc/self/limits')),
    checkOvercommit(readOrNull('/proc/sys/vm/overcommit_memory')),
    checkSomaxconn(readOrNull('/proc/sys/net/core/somaxconn')),
    checkHugePages(readOrNull('/sys/kernel/mm/transparent_hugepage/enabled')),
    await portFinding(FIRST_CACHE_PORT, 'the first cache', '--port', status),
    await portFinding(FIRST_CACHE_PORT + 1, "the first cache's reader endpoint", '--port', status),
    await portFinding(METRICS_PORT, 'metrics', '--metrics-port', status),
    daemonFinding(status, client.dataDir, terminal),
  ];
}

async function checkEngines(terminal: Terminal): Promise<Finding[]> {
  const tools: AptTools = {
    'apt-get': onPath('apt-get', terminal.env),
    'dpkg-deb': onPath('dpkg-deb', terminal.env),
    'debian-archive-keyring': KEYRINGS.some((file) => existsSync(file)),
  };
  try {
    const engines = await localEngines({ env: terminal.env });
    const found = engines.find((engine) => engine.line === DEFAULT_ENGINE_LINE && engine.installed);
    return checkEngine(found?.version ?? null, DEFAULT_ENGINE_LINE, tools, terminal.program);
  } catch (error) {
    return [
      {
        check: 'engine',
        verdict: 'fail',
        found: messageOf(error),
        fix: 'correct or unset SPRINGTIDE_VALKEY_SERVER',
      },
    ];
  }
}

async function portFinding(
  port: number,
  what: string,
  option: string,
  status: SystemStatus | null,
): Promise<Finding> {
  const cache = status?.caches.find(({ endpoint, readerEndpoint }) =>
    [endpoint, readerEndpoint].some((address) => splitEndpoint(address).port === port),
  );
  const metrics = status?.metricsUrl?.includes(`:${port}/`) ? "this Springtide's metrics" : null;
  const ours = cache ? `cache ${cache.spec.name}` : metrics;
  return checkPort({ port, what, ours, state: await portState(port, HOST) }, option);
}

function daemonFinding(status: SystemStatus | null, dataDir: string, terminal: Terminal): Finding {
  if (status)
    return {
      check: 'daemon',
      verdict: 'ok',
      found: `running for ${formatAge(Date.now() - status.startedAtMs)} with ${plural(status.caches.length, 'cache')} (pid ${status.pid})`,
      fix: null,
    };
  const left = leftoverProcesses(dataDir).length;
  if (left === 0) return { check: 'daemon', verdict: 'ok', found: 'not running', fix: null };
  return {
    check: 'daemon',
    verdict: 'warn',
    found: `not running, but ${plural(left, 'node or proxy process').replace('processs', 'processes')} of it still serve`,
    fix: `${terminal.program} up --detach   (takes them over; "down" stops them)`,
  };
}

function directoryFacts(path: string, existing: string): DirectoryFacts {
  const stat = statSync(existing);
  let writable = true;
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch {
    writable = false;
  }
  return {
    path,
    exists: existing === path,
    writable: writable && stat.isDirectory(),
    mode: stat.mode & 0o777,
    mine: stat.uid === process.getuid?.(),
  };
}

function availableMemoryBytes(): number {
  const match = /^MemAvailable:\s+(\d+) kB/m.exec(readOrNull('/proc/meminfo') ?? '');
  return match ? Number(match[1]) * 1024 : process.availableMemory();
}

/** The container's limit: cgroup v2, then v1; null without one. */
function cgroupMemoryBytes(): number | null {
  const text =
    readOrNull('/sys/fs/cgroup/memory.max') ??
    readOrNull('/sys/fs/cgroup/memory/memory.limit_in_bytes');
  const bytes = Number(text?.trim() ?? 'max');
  // v1 says "no limit" with a number near 2^63.
  return Number.isFinite(bytes) && bytes < Number.MAX_SAFE_INTEGER ? bytes : null;
}

function onPath(name: string, env: NodeJS.ProcessEnv): boolean {
  return (env['PATH'] ?? '')
    .split(delimiter)
    .some((directory) => directory !== '' && existsSync(join(directory, name)));
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
