/**
 * The engine catalogue: which Valkey versions there are, where each comes from, and how to start it. A version is, in
 * this order, the binary that the user named, the one on PATH, or one installed from Debian (debian-install.ts).
 */
import { access, rename, rm } from 'node:fs/promises';
import { constants } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { debianArch } from './debian-arch.ts';
import { installFromDebian, type InstallOptions } from './debian-install.ts';
import {
  defaultEngineDir,
  engineDirectory,
  installedCommands,
  readManifest,
} from './engine-directory.ts';
import { BRING_YOUR_OWN_BINARY, ENGINE_BINARY_ENV, EngineError } from './engine-error.ts';
import {
  DEFAULT_ENGINE_LINE,
  ENGINE_LINES,
  engineLineOf,
  parseServerVersion,
  type EngineLine,
} from './engine-line.ts';
import { acquireFileLock } from './file-lock.ts';
import { runCommand } from './run-command.ts';

export type EngineSource = 'explicit' | 'path' | 'debian';

export interface EngineInstallation {
  readonly engine: 'valkey';
  readonly line: EngineLine;
  /** In full, `9.1.2`. */
  readonly version: string;
  readonly source: EngineSource;
  /** The file that runs. */
  readonly binary: string;
  /** Starts the server when followed by its arguments; the loader and its options come first for an installed engine. */
  readonly command: readonly string[];
  /** The same for the tools that came with it. */
  readonly tools: { readonly cli?: readonly string[]; readonly benchmark?: readonly string[] };
}

export interface CatalogueOptions {
  /** Default: defaultEngineDir(). */
  readonly engineDir?: string;
  /** A valkey-server of the user's; goes before the environment variable SPRINGTIDE_VALKEY_SERVER. */
  readonly binary?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface EngineListing {
  readonly engine: 'valkey';
  readonly line: EngineLine;
  readonly isDefault: boolean;
  /** The Debian suite that it would be installed from. */
  readonly suite: string;
  /** In the order in which findEngine would take them; empty when there is none. */
  readonly installations: readonly EngineInstallation[];
}

/**
 * Every supported line and what there is of it on this machine.
 *
 * @throws EngineError if a binary that the user named cannot be used
 */
export async function listEngines(options: CatalogueOptions = {}): Promise<EngineListing[]> {
  const candidates = await userBinaries(options);
  const listings: EngineListing[] = [];
  for (const info of ENGINE_LINES) {
    const installed = await findInstalled(info.line, options);
    const installations = candidates.filter((candidate) => candidate.line === info.line);
    if (installed !== undefined) installations.push(installed);
    listings.push({
      engine: info.engine,
      line: info.line,
      isDefault: info.line === DEFAULT_ENGINE_LINE,
      suite: info.suite,
      installations,
    });
  }
  return listings;
}

/**
 * The engine to run for a version.
 *
 * @param version a line or a full version; undefined means the binary that the user named, else the default line
 * @throws EngineError ENGINE_VERSION_UNSUPPORTED, ENGINE_BINARY_UNUSABLE, ENGINE_NOT_INSTALLED
 */
export async function findEngine(
  version: string | undefined,
  options: CatalogueOptions = {},
): Promise<EngineInstallation> {
  const wanted = version === undefined ? undefined : engineLineOf(version).line;
  const candidates = await userBinaries(options);
  const explicit = candidates.find((candidate) => candidate.source === 'explicit');
  if (wanted === undefined && explicit !== undefined) return explicit;
  const line = wanted ?? DEFAULT_ENGINE_LINE;
  const found =
    candidates.find((candidate) => candidate.line === line) ?? (await findInstalled(line, options));
  if (found !== undefined) return found;
  const mismatch =
    explicit === undefined ? '' : ` (${explicit.binary} is Valkey ${explicit.version})`;
  throw new EngineError(
    'ENGINE_NOT_INSTALLED',
    `Valkey ${line} is not installed${mismatch}; run "springtide engine install ${line}", or ${BRING_YOUR_OWN_BINARY}.`,
  );
}

/**
 * Installs a line from Debian's archive unless it is there already.
 *
 * @throws EngineError; see its codes
 */
export async function installEngine(
  version: string,
  options: Partial<InstallOptions> = {},
): Promise<EngineInstallation> {
  const info = engineLineOf(version);
  const engineDir = options.engineDir ?? defaultEngineDir(options.env);
  const present = await findInstalled(info.line, { engineDir });
  if (present !== undefined) return present;
  await installFromDebian(info, { ...options, engineDir });
  const installed = await findInstalled(info.line, { engineDir });
  if (installed === undefined) {
    throw new EngineError(
      'ENGINE_INSTALL_FAILED',
      `${engineDirectory(engineDir, info)} is not a usable engine; run "springtide engine remove ${info.line}" and install it again.`,
    );
  }
  return installed;
}

/**
 * Removes an installed line. Nodes that run it go on (their files stay open) but cannot be started again; it is for the
 * caller to ask whether it is in use.
 *
 * @returns whether there was one
 */
export async function removeEngine(
  version: string,
  options: Pick<CatalogueOptions, 'engineDir' | 'env'> = {},
): Promise<boolean> {
  const info = engineLineOf(version);
  const engineDir = options.engineDir ?? defaultEngineDir(options.env);
  const directory = engineDirectory(engineDir, info);
  const work = join(engineDir, `.install-${info.engine}-${info.line}`);
  if (!(await isAccessible(directory, constants.F_OK))) return false;
  using _lock = await acquireFileLock(`${work}.lock`);
  // Out of the way in one step first: an engine half deleted must never be found.
  await rm(work, { recursive: true, force: true });
  await rename(directory, work).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
  });
  await rm(work, { recursive: true, force: true });
  return true;
}

async function findInstalled(
  line: EngineLine,
  options: CatalogueOptions,
): Promise<EngineInstallation | undefined> {
  const engineDir = options.engineDir ?? defaultEngineDir(options.env);
  const directory = engineDirectory(engineDir, engineLineOf(line));
  const manifest = await readManifest(directory);
  const arch = debianArch();
  // A home directory shared between machines may hold the other architecture's.
  if (manifest === undefined || manifest.arch !== arch.name) return undefined;
  const commands = await installedCommands(directory, arch).catch(() => undefined);
  if (commands === undefined) return undefined;
  return {
    engine: 'valkey',
    line,
    version: manifest.version,
    source: 'debian',
    binary: commands.server.at(-1)!,
    command: commands.server,
    tools: { cli: commands.cli, benchmark: commands.benchmark },
  };
}

async function userBinaries(options: CatalogueOptions): Promise<EngineInstallation[]> {
  const env = options.env ?? process.env;
  const found: EngineInstallation[] = [];
  const named = options.binary ?? (env[ENGINE_BINARY_ENV] || undefined);
  if (named !== undefined) found.push(await inspectExplicit(resolve(named)));
  const onPath = await findOnPath('valkey-server', env);
  if (onPath !== undefined) {
    const { version } = await askVersion(onPath);
    const line = ENGINE_LINES.find((info) => version?.startsWith(`${info.line}.`))?.line;
    // One that is not supported, or not working, is simply not used.
    if (version !== undefined && line !== undefined)
      found.push(await describe(onPath, 'path', line, version));
  }
  return found;
}

async function inspectExplicit(binary: string): Promise<EngineInstallation> {
  const { version, said } = await askVersion(binary);
  if (version === undefined) {
    throw new EngineError(
      'ENGINE_BINARY_UNUSABLE',
      `${binary} is not a working valkey-server (${said}); name one that prints "Valkey server v=..." for --version.`,
    );
  }
  const { line } = engineLineOf(version);
  return await describe(binary, 'explicit', line, version);
}

async function askVersion(binary: string): Promise<{ version: string | undefined; said: string }> {
  try {
    const result = await runCommand([binary, '--version'], { timeoutMs: 5000 });
    const said =
      (result.stdout || result.stderr).trim().split('\n')[0] || `exit status ${result.code}`;
    return { version: parseServerVersion(result.stdout), said: said.slice(0, 200) };
  } catch (error) {
    return { version: undefined, said: messageOf(error) };
  }
}

async function describe(
  binary: string,
  source: EngineSource,
  line: EngineLine,
  version: string,
): Promise<EngineInstallation> {
  const cli = join(dirname(binary), 'valkey-cli');
  const benchmark = join(dirname(binary), 'valkey-benchmark');
  return {
    engine: 'valkey',
    line,
    version,
    source,
    binary,
    command: [binary],
    tools: {
      ...((await isAccessible(cli, constants.X_OK)) ? { cli: [cli] } : {}),
      ...((await isAccessible(benchmark, constants.X_OK)) ? { benchmark: [benchmark] } : {}),
    },
  };
}

async function findOnPath(name: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    if (directory === '') continue;
    const file = join(directory, name);
    if (await isAccessible(file, constants.X_OK)) return file;
  }
  return undefined;
}

function isAccessible(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
