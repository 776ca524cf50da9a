/**
 * Installs an engine from Debian's archive into a private directory, without root and without touching the machine's
 * own packages: apt resolves, fetches and verifies in a state of its own; dpkg-deb unpacks; nothing is configured.
 *
 *   <engineDir>/.install-valkey-9.1/   apt's state and downloads; kept after a failure, so that a retry resumes
 *                                root/ the tree being unpacked, started afresh each time
 *   <engineDir>/valkey-9.1/            that tree, renamed into place when its server has run
 *
 * The tree carries its suite's libc and libraries and is started through its own dynamic loader, so any suite runs on
 * any Linux of the same architecture.
 */
import { access, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { classifyAptFailure, diskFull, installFailure } from './apt-failure.ts';
import { readAptSources, pickDebianMirror, type DebianMirror } from './apt-sources.ts';
import { debianArch, type DebianArch } from './debian-arch.ts';
import { BRING_YOUR_OWN_BINARY, EngineError } from './engine-error.ts';
import { parseServerVersion, type EngineLineInfo } from './engine-line.ts';
import {
  engineDirectory,
  installedCommands,
  writeManifest,
  type EngineManifest,
} from './engine-directory.ts';
import { acquireFileLock } from './file-lock.ts';
import { runCommand } from './run-command.ts';

export interface InstallOptions {
  /** Holds one directory per installed line. Created if absent. */
  readonly engineDir: string;
  /** `fraction` 0..1, never falling; `text` says what is going on, for a person. */
  readonly onProgress?: (fraction: number, text: string) => void;
  readonly signal?: AbortSignal;
  /** Environment of apt-get and dpkg-deb; tests shorten its PATH. */
  readonly env?: NodeJS.ProcessEnv;
  /** Where to fetch from instead of where the machine's apt sources say. */
  readonly mirror?: DebianMirror;
}

/** Debian's signing keys, as the package debian-archive-keyring installs them (.pgp from forky on). */
const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
];

/**
 * Packages that valkey's Debian packages depend on to set up a system service. Nothing of theirs is run here, so apt is
 * told that they are installed; that spares the download of an init system.
 */
const NOT_NEEDED = ['adduser', 'debconf', 'init-system-helpers', 'lsb-base', 'systemd'];

const LOCK_PATIENCE_MS = 60_000;
const LOCK_RETRY_MS = 200;

/**
 * Installs a line, or returns at once if it is installed. Safe to call from several processes: one installs, the others
 * wait for it.
 *
 * @throws EngineError; see its codes
 */
export async function installFromDebian(
  line: EngineLineInfo,
  options: InstallOptions,
): Promise<void> {
  const arch = debianArch();
  const progress = monotonic(options.onProgress);
  const target = engineDirectory(options.engineDir, line);
  const work = join(options.engineDir, `.install-${line.engine}-${line.line}`);
  try {
    await mkdir(options.engineDir, { recursive: true });
    using _lock = await acquireFileLock(`${work}.lock`, options.signal);
    if (await exists(target)) return;
    await checkTools(options.env);
    const apt = await prepareApt(work, line, arch, options);
    await fetchPackages(apt, line, options, progress);
    const root = join(work, 'root');
    try {
      await unpack(join(work, 'cache/archives'), root, options, progress);
      await writeManifest(root, await inspect(root, line, arch, options));
      await rename(root, target);
    } catch (error) {
      // The downloads are kept for the next attempt; half a tree only takes room.
      await rm(root, { recursive: true, force: true });
      throw error;
    }
    await rm(work, { recursive: true, force: true });
    progress(1, 'Installed');
  } catch (error) {
    throw installFailure(error, options.engineDir, options.signal);
  }
}

interface Apt {
  readonly configFile: string;
  readonly env: NodeJS.ProcessEnv;
}

async function checkTools(env: NodeJS.ProcessEnv | undefined): Promise<void> {
  const tools = [
    ['apt-get', 'ENGINE_APT_MISSING'],
    ['dpkg-deb', 'ENGINE_DPKG_MISSING'],
  ] as const;
  for (const [tool, code] of tools) {
    await runCommand([tool, '--version'], env === undefined ? {} : { env }).catch((cause) => {
      throw new EngineError(
        code,
        `This system has no ${tool}, which installing an engine needs; ${BRING_YOUR_OWN_BINARY}.`,
        { cause },
      );
    });
  }
}

async function prepareApt(
  work: string,
  line: EngineLineInfo,
  arch: DebianArch,
  options: InstallOptions,
): Promise<Apt> {
  const keyring = await firstExisting(KEYRINGS);
  if (keyring === undefined) {
    throw new EngineError(
      'ENGINE_KEYRING_MISSING',
      `Debian's signing keys are not on this system; install the package debian-archive-keyring, or ${BRING_YOUR_OWN_BINARY}.`,
    );
  }
  const mirror = options.mirror ?? pickDebianMirror(await readAptSources());
  if (mirror === null) {
    throw new EngineError(
      'ENGINE_MIRROR_UNREACHABLE',
      `No Debian archive is among this system's apt sources; add one to them, or ${BRING_YOUR_OWN_BINARY}.`,
    );
  }
  for (const part of ['state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(work, part), { recursive: true });
  }
  await rm(join(work, 'root'), { recursive: true, force: true });
  await writeFile(join(work, 'sources.list'), renderSources(line, mirror, keyring));
  await writeFile(join(work, 'state/status'), renderDpkgStatus(arch));
  const configFile = join(work, 'apt.conf');
  await writeFile(configFile, renderAptConfig(work, arch));
  return {
    configFile,
    env: { ...(options.env ?? process.env), LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
  };
}

/** The one-line sources of a line's suites. */
function renderSources(line: EngineLineInfo, mirror: DebianMirror, keyring: string): string {
  const entry = (uri: string, suite: string) => `deb [signed-by=${keyring}] ${uri} ${suite} main\n`;
  let text = entry(mirror.uri, line.suite);
  if (line.baseSuite !== undefined) text += entry(mirror.uri, line.baseSuite);
  if (line.securitySuite !== undefined && mirror.securityUri !== undefined) {
    text += entry(mirror.securityUri, line.securitySuite);
  }
  return text;
}

/**
 * Everything of apt's that would look at or change the machine is turned to the private directory; what the machine
 * says about reaching the network (proxies, credentials, retries) stays in force.
 */
function renderAptConfig(work: string, arch: DebianArch): string {
  return [
    '#clear APT::Architectures;',
    // Hooks of the machine (image clean-up, desktop software centres) have no business with this run.
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    '#clear Acquire::IndexTargets::deb-src;',
    `APT::Architecture "${arch.name}";`,
    `APT::Architectures { "${arch.name}"; };`,
    `Dir::State "${work}/state";`,
    `Dir::State::status "${work}/state/status";`,
    `Dir::State::lists "${work}/state/lists";`,
    `Dir::State::extended_states "${work}/state/extended_states";`,
    `Dir::Cache "${work}/cache";`,
    `Dir::Cache::archives "${work}/cache/archives";`,
    `Dir::Etc::SourceList "${work}/sources.list";`,
    'Dir::Etc::SourceParts "/dev/null";',
    'Dir::Etc::Preferences "/dev/null";',
    'Dir::Etc::PreferencesParts "/dev/null";',
    'Dir::Log "/dev/null";',
    // As root apt would drop to a user that cannot read a private directory.
    'APT::Sandbox::User "root";',
    'APT::Get::AllowUnauthenticated "false";',
    'APT::Get::Assume-Yes "true";',
    'APT::Install-Recommends "false";',
    'APT::Update::Error-Mode "any";',
    'APT::Keep-Downloaded-Packages "true";',
    'Acquire::AllowInsecureRepositories "false";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    'Acquire::http::Timeout "20";',
    'Acquire::https::Timeout "20";',
    '',
  ].join('\n');
}

function renderDpkgStatus(arch: DebianArch): string {
  const stanza = (name: string) =>
    `Package: ${name}\nStatus: install ok installed\nArchitecture: ${arch.name}\nMulti-Arch: foreign\n` +
    `Maintainer: nobody <nobody@localhost>\nVersion: 99999\nDescription: not needed here\n`;
  return NOT_NEEDED.map(stanza).join('\n');
}

type Progress = (fraction: number, text: string) => void;

async function fetchPackages(
  apt: Apt,
  line: EngineLineInfo,
  options: InstallOptions,
  progress: Progress,
): Promise<void> {
  const name = `Valkey ${line.line}`;
  await runApt(apt, ['update'], line, options, (part) =>
    progress(part * 0.35, `Reading the package index of Debian ${line.suite}`),
  );
  // Of an attempt some while ago there may be packages that the archive has replaced since.
  await runApt(apt, ['autoclean'], line, options, () => {});
  await runApt(apt, ['--download-only', 'install', ...line.packages], line, options, (part) =>
    progress(0.35 + part * 0.5, `Downloading ${name}`),
  );
}

async function runApt(
  apt: Apt,
  args: readonly string[],
  line: EngineLineInfo,
  options: InstallOptions,
  onPart: (part: number) => void,
): Promise<void> {
  onPart(0);
  const argv = ['apt-get', '-q', '-c', apt.configFile, '-o', 'APT::Status-Fd=3', ...args];
  const patienceEnd = Date.now() + LOCK_PATIENCE_MS;
  for (;;) {
    const result = await runCommand(argv, {
      env: apt.env,
      onStatusLine: (status) => {
        const percent = parseAptStatus(status);
        if (percent !== undefined) onPart(percent / 100);
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    if (result.code === 0) break;
    // We hold this directory's lock, so apt's own can only be held by the apt-get of an installation that was killed. It
    // ends soon, for nobody reads its progress.
    const orphaned = /Could not get lock/.test(result.stderr) && Date.now() < patienceEnd;
    if (!orphaned) throw classifyAptFailure(result.stderr, line, options.engineDir);
    await delay(
      LOCK_RETRY_MS,
      undefined,
      options.signal === undefined ? {} : { signal: options.signal },
    );
  }
  onPart(1);
}

/** The percentage in a line of apt's Status-Fd (`dlstatus:ITEM:PERCENT:TEXT`), or undefined for other lines. */
function parseAptStatus(line: string): number | undefined {
  const percent = /^dlstatus:[^:]*:([\d.]+):/.exec(line)?.[1];
  return percent === undefined ? undefined : Number(percent);
}

async function unpack(
  archives: string,
  root: string,
  options: InstallOptions,
  progress: Progress,
): Promise<void> {
  const files = (await readdir(archives)).filter((name) => name.endsWith('.deb')).sort();
  const sizes = await Promise.all(
    files.map(async (name) => (await stat(join(archives, name))).size),
  );
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  await mkdir(root, { recursive: true, mode: 0o755 });
  let doneBytes = 0;
  for (const [index, file] of files.entries()) {
    progress(0.85 + (0.13 * doneBytes) / totalBytes, `Unpacking ${file.split('_')[0]}`);
    const result = await runCommand(['dpkg-deb', '-x', join(archives, file), root], {
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    if (result.code !== 0) throw unpackFailure(file, result.stderr, options.engineDir);
    doneBytes += sizes[index]!;
  }
  // Character set tables (10 MB) that nothing here converts with, and manual pages.
  const { triplet } = debianArch();
  for (const unused of [`usr/lib/${triplet}/gconv`, 'usr/share/man', 'usr/share/locale']) {
    await rm(join(root, unused), { recursive: true, force: true });
  }
}

function unpackFailure(file: string, stderr: string, engineDir: string): EngineError {
  if (/No space left on device/.test(stderr)) return diskFull(engineDir);
  return new EngineError(
    'ENGINE_INSTALL_FAILED',
    `Unpacking ${file} failed: ${stderr.trim().split('\n').at(-1) ?? ''}; delete ${engineDir} and try again.`,
  );
}

/** Runs the unpacked server once: what does not start here must not be renamed into place. */
async function inspect(
  root: string,
  line: EngineLineInfo,
  arch: DebianArch,
  options: InstallOptions,
): Promise<EngineManifest> {
  const { server } = await installedCommands(root, arch);
  const result = await runCommand(
    [...server, '--version'],
    options.signal === undefined ? {} : { signal: options.signal },
  );
  const version = parseServerVersion(result.stdout);
  if (version === undefined || !version.startsWith(`${line.line}.`)) {
    const said = (result.stdout + result.stderr).trim().split('\n')[0] ?? '';
    throw new EngineError(
      version === undefined ? 'ENGINE_INSTALL_FAILED' : 'ENGINE_PACKAGE_MISSING',
      `Debian ${line.suite} gave a server that is not Valkey ${line.line} (${said}); ${BRING_YOUR_OWN_BINARY}.`,
    );
  }
  return { engine: line.engine, line: line.line, version, suite: line.suite, arch: arch.name };
}

function monotonic(onProgress: InstallOptions['onProgress']): Progress {
  let highest = 0;
  return (fraction, text) => {
    highest = Math.max(highest, fraction);
    onProgress?.(highest, text);
  };
}

async function firstExisting(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path;
  return undefined;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
