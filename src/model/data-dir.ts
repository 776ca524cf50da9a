/** Where everything of one Springtide lives below its data directory. One place, so that all processes agree. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The default data directory: `$SPRINGTIDE_DATA_DIR`, else `$XDG_DATA_HOME/springtide`, else `~/.local/share/springtide`. */
export function defaultDataDir(env: NodeJS.ProcessEnv = process.env): string {
  return (
    env['SPRINGTIDE_DATA_DIR'] ??
    join(env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'springtide')
  );
}

/** Engines are shared by all data directories of a user: `$SPRINGTIDE_ENGINE_DIR`, else `<XDG data home>/springtide/engines`. */
export function defaultEngineDir(env: NodeJS.ProcessEnv = process.env): string {
  return (
    env['SPRINGTIDE_ENGINE_DIR'] ??
    join(env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'springtide', 'engines')
  );
}

/**
 * The environment of a process of ours: node keeps what it has compiled of our code for the next one, which needs half the time
 * to start then. In `$XDG_CACHE_HOME/springtide`, else `~/.cache/springtide`; if that cannot be written, all is compiled.
 */
export function withCompiledCode(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const dir = join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'springtide');
  return { NODE_COMPILE_CACHE: dir, ...env };
}

/** Paths inside a data directory. Directories are made 0700, files that hold secrets 0600. */
export interface DataDirPaths {
  readonly root: string;
  /** SQLite: the control plane's state. */
  readonly stateFile: string;
  /** The hosts that `up --hosts` named last (host-spec.ts). */
  readonly hostsFile: string;
  /** Node directories, `<nodes>/<nodeId>/`. */
  readonly nodes: string;
  /** Unix sockets and pid files. */
  readonly run: string;
  /** The daemon's HTTP API for the CLI (unix socket). */
  readonly apiSocket: string;
  /** Where proxies find control (unix socket, `plane-link.ts`). */
  readonly controlSocket: string;
  /** Where the proxies of this machine ask each other (unix sockets), by index. */
  readonly proxySocket: (index: number) => string;
  readonly daemonPidFile: string;
  /** `<proxies>/<index>/topology.json` (0600) and `pid`. */
  readonly proxies: string;
  readonly logs: string;
  /** Development certificates. */
  readonly tls: string;
}

export function dataDirPaths(root: string): DataDirPaths {
  const run = join(root, 'run');
  return {
    root,
    stateFile: join(root, 'state.sqlite'),
    hostsFile: join(root, 'hosts.json'),
    nodes: join(root, 'nodes'),
    run,
    apiSocket: join(run, 'api.sock'),
    controlSocket: join(run, 'control.sock'),
    proxySocket: (index) => join(run, `proxy-${index}.sock`),
    daemonPidFile: join(run, 'daemon.pid'),
    proxies: join(root, 'proxies'),
    logs: join(root, 'logs'),
    tls: join(root, 'tls'),
  };
}
