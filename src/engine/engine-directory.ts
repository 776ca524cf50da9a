/** The layout of an installed engine: where its programs and libraries lie, and the manifest that says what it is. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { DebianArch } from './debian-arch.ts';
import type { EngineLineInfo } from './engine-line.ts';

const MANIFEST = 'engine.json';

const manifestSchema = z.object({
  engine: z.literal('valkey'),
  line: z.enum(['9.1', '8.1', '8.0']),
  version: z.string(),
  suite: z.string(),
  arch: z.enum(['amd64', 'arm64']),
});

export type EngineManifest = z.infer<typeof manifestSchema>;

export interface InstalledCommands {
  readonly server: string[];
  readonly cli: string[];
  readonly benchmark: string[];
}

/** Where engines are installed unless a caller says otherwise: SPRINGTIDE_ENGINE_DIR, else under the user's data home. */
export function defaultEngineDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env['SPRINGTIDE_ENGINE_DIR']) return env['SPRINGTIDE_ENGINE_DIR'];
  const dataHome = env['XDG_DATA_HOME'] || join(env['HOME'] || homedir(), '.local/share');
  return join(dataHome, 'springtide/engines');
}

/** The directory of one line. It exists only once the engine in it has run. */
export function engineDirectory(
  engineDir: string,
  line: Pick<EngineLineInfo, 'engine' | 'line'>,
): string {
  return join(engineDir, `${line.engine}-${line.line}`);
}

/** @returns undefined where there is no engine, or one that another version of Springtide described otherwise */
export async function readManifest(directory: string): Promise<EngineManifest | undefined> {
  const text = await readFile(join(directory, MANIFEST), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export async function writeManifest(directory: string, manifest: EngineManifest): Promise<void> {
  await writeFile(join(directory, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/**
 * The command prefixes that start an installed engine's programs with the loader and libraries it brought along.
 * The loader is found in the library directory, not as /lib64/ld-linux*: that is a link with an absolute target in some
 * suites and would lead to the machine's own.
 */
export async function installedCommands(
  directory: string,
  arch: DebianArch,
): Promise<InstalledCommands> {
  // usr/lib and lib are one directory on an installed system, but packages before trixie still ship both.
  const libraryDirs: string[] = [];
  let loader: string | undefined;
  for (const prefix of ['usr/lib', 'lib']) {
    const libraryDir = join(directory, prefix, arch.triplet);
    const names = await readdir(libraryDir).catch(() => undefined);
    if (names === undefined) continue;
    libraryDirs.push(libraryDir);
    if (names.includes(arch.loader)) loader ??= join(libraryDir, arch.loader);
  }
  const server = join(directory, 'usr/bin/valkey-server');
  await stat(server);
  if (loader === undefined) throw new Error(`${directory} has no ${arch.loader}`);
  const prefix = [loader, '--library-path', libraryDirs.join(':')];
  return {
    server: [...prefix, server],
    cli: [...prefix, join(directory, 'usr/bin/valkey-cli')],
    benchmark: [...prefix, join(directory, 'usr/bin/valkey-benchmark')],
  };
}
