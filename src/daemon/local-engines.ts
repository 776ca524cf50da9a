/**
 * Engines as the command line needs them where no daemon runs: before the first start, and to find the engine's own
 * tools. The CLI may not import engine/ itself (DESIGN: who may import whom); this is the door it uses.
 */
import {
  findEngine,
  installEngine,
  listEngines,
  removeEngine,
  type CatalogueOptions,
} from '../engine/catalogue.ts';
import { storedCaches } from '../control/stored-caches.ts';
import type { EngineStatus } from '../model/admin-api.ts';
import { dataDirPaths } from '../model/data-dir.ts';

/**
 * Every supported line, and whether and from where it is there.
 *
 * @param dataDir where no daemon runs: `usedBy` are its caches, which are stopped. Without it, none
 * @throws StoreError STORE_UNREADABLE when `dataDir` has a state that cannot be read
 */
export async function localEngines(
  options: CatalogueOptions = {},
  dataDir?: string,
): Promise<EngineStatus[]> {
  const caches = dataDir === undefined ? [] : storedCaches(dataDirPaths(dataDir).stateFile);
  return (await listEngines(options)).map((listing) => {
    const [first] = listing.installations;
    const source = first === undefined || first.source === 'debian' ? listing.suite : first.source;
    return {
      engine: listing.engine,
      line: listing.line,
      version: first?.version ?? null,
      installed: first !== undefined,
      source: source === 'explicit' ? 'option' : source,
      cli: first?.tools.cli ?? null,
      usedBy: caches
        .filter(({ engineVersion }) => engineVersion === listing.line)
        .map(({ name }) => name),
    };
  });
}

/**
 * Installs a line unless it is there; returns its full version.
 *
 * @throws EngineError
 */
export async function installLocalEngine(
  line: string,
  onProgress: (fraction: number, text: string) => void,
  signal: AbortSignal,
  engineDir?: string,
): Promise<string> {
  const options = engineDir === undefined ? {} : { engineDir };
  return (await installEngine(line, { ...options, onProgress, signal })).version;
}

/**
 * @returns whether there was one
 * @throws EngineError
 */
export async function removeLocalEngine(line: string, engineDir?: string): Promise<boolean> {
  return await removeEngine(line, engineDir === undefined ? {} : { engineDir });
}

/**
 * The command that starts valkey-cli (several words for an installed engine: its loader goes first), or null when this
 * engine came without it.
 *
 * @throws EngineError when the line is not installed
 */
export async function valkeyCliOf(
  line: string,
  options: CatalogueOptions = {},
): Promise<readonly string[] | null> {
  return (await findEngine(line, options)).tools.cli ?? null;
}
