/** The hosts of a data directory, all of them on this machine: as a file names them, else as they were, else this machine. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { LocalHost, type LocalHostOptions } from '../engine/local-host.ts';
import type { DataDirPaths } from '../model/data-dir.ts';
import { readHosts, THIS_MACHINE, type HostSpec } from '../model/host-spec.ts';

/**
 * @param file of `up --hosts`; what it says is kept for later starts
 * @throws RangeError that names the file and what is wrong in it
 */
export function localHosts(
  file: string | undefined,
  paths: Pick<DataDirPaths, 'root' | 'hostsFile'>,
  findEngine: LocalHostOptions['findEngine'],
): [LocalHost, ...LocalHost[]] {
  const specs = readSpecs(file, paths.hostsFile);
  const [first, ...others] = specs.map(
    ({ id, zone, address, netns, cores, memoryBytes }) =>
      new LocalHost({
        id,
        zone,
        address,
        dataDir: paths.root,
        findEngine,
        ...(netns === undefined ? {} : { netns }),
        ...(cores === undefined ? {} : { cores }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      }),
  );
  return [first!, ...others];
}

function readSpecs(file: string | undefined, kept: string): readonly HostSpec[] {
  const from = file ?? (existsSync(kept) ? kept : null);
  if (from === null) return [THIS_MACHINE];
  let hosts: readonly HostSpec[];
  try {
    hosts = readHosts(readFileSync(from, 'utf8'));
  } catch (error) {
    throw new RangeError(`hosts file ${from}: ${(error as Error).message}`, { cause: error });
  }
  if (file !== undefined)
    writeFileSync(kept, `${JSON.stringify(hosts, null, 2)}\n`, { mode: 0o600 });
  return hosts;
}
