/** Nodes and proxies of a data directory that outlived their daemon: they go on serving until a daemon stops them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataDirPaths } from '../model/data-dir.ts';

/** Their process ids. A pid counts only while its command line names this data directory: pids are used again. */
export function leftoverProcesses(dataDir: string): number[] {
  const paths = dataDirPaths(dataDir);
  return [...pidFiles(paths.nodes, 'valkey.pid'), ...pidFiles(paths.proxies, 'pid')].flatMap(
    (file) => {
      const pid = Number.parseInt(readOrEmpty(file), 10);
      return pid > 0 && readOrEmpty(`/proc/${pid}/cmdline`).includes(dataDir) ? [pid] : [];
    },
  );
}

function pidFiles(parent: string, name: string): string[] {
  return existsSync(parent) ? readdirSync(parent).map((entry) => join(parent, entry, name)) : [];
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
