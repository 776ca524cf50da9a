/**
 * What `springtide doctor` looks at, one function a check: pure, from facts of the machine to a verdict. Thresholds are
 * those that Valkey itself warns about at its start (src/syscheck.c, src/server.c) or that Springtide's defaults need.
 */
import { formatBytes } from '../lib/human-units.ts';

export type Verdict = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** What to change, with the exact command; null where all is well. */
  readonly fix: string | null;
}

const MIB = 1024 ** 2;
/** Node.js runs TypeScript by itself from this one on (DESIGN, Tools). */
const NODE_MAJOR_MINIMUM = 24;
/** tcp-backlog of valkey.conf. */
const BACKLOG = 511;
/** connectionsMaximum's default, and as many again for upstream connections and files. */
const DESCRIPTORS_WANTED = 65_536;
const DESCRIPTORS_NEEDED = 4096;
/** An installed engine is 30 MB to download and 150 MB with its packages. */
const DISK_NEEDED_BYTES = 200 * MIB;
const DISK_WANTED_BYTES = 1024 * MIB;
const MEMORY_NEEDED_BYTES = 256 * MIB;
const MEMORY_WANTED_BYTES = 1024 * MIB;

function ok(check: string, found: string): Finding {
  return { check, verdict: 'ok', found, fix: null };
}

function bad(check: string, verdict: 'warn' | 'fail', found: string, fix: string): Finding {
  return { check, verdict, found, fix };
}

export function checkNodeVersion(version: string): Finding {
  const major = Number.parseInt(version, 10);
  if (major >= NODE_MAJOR_MINIMUM) return ok('node', `Node.js ${version}`);
  return bad(
    'node',
    'fail',
    `Node.js ${version}, too old to run TypeScript`,
    'npm install   (brings Node.js with it)',
  );
}

/** @param text of /proc/sys/vm/overcommit_memory */
export function checkOvercommit(text: string | null): Finding {
  const mode = text?.trim();
  if (mode === undefined) return ok('overcommit', 'not a Linux setting here');
  if (mode === '1') return ok('overcommit', 'vm.overcommit_memory = 1');
  return bad(
    'overcommit',
    'warn',
    `vm.overcommit_memory = ${mode}: a replica's first synchronization can fail when memory is low`,
    'sudo sysctl -w vm.overcommit_memory=1   (to keep it: a file in /etc/sysctl.d)',
  );
}

/** @param text of /proc/sys/net/core/somaxconn */
export function checkSomaxconn(text: string | null): Finding {
  if (text === null) return ok('somaxconn', 'not a Linux setting here');
  const value = Number(text.trim());
  if (value >= BACKLOG) return ok('somaxconn', `net.core.somaxconn = ${value}`);
  return bad(
    'somaxconn',
    'warn',
    `net.core.somaxconn = ${value}: bursts of new connections are refused`,
    'sudo sysctl -w net.core.somaxconn=4096   (to keep it: a file in /etc/sysctl.d)',
  );
}

/** @param text of /sys/kernel/mm/transparent_hugepage/enabled, e.g. `always [madvise] never` */
export function checkHugePages(text: string | null): Finding {
  const mode = /\[(\w+)\]/.exec(text ?? '')?.[1];
  if (mode !== 'always')
    return ok(
      'huge pages',
      mode === undefined ? 'none on this kernel' : `transparent huge pages: ${mode}`,
    );
  return bad(
    'huge pages',
    'warn',
    'transparent huge pages: always, which costs memory and latency while a replica synchronizes',
    'echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled',
  );
}

/** @param text of /proc/self/limits. Node raises its soft limit to the hard one, so that one counts. */
export function checkDescriptors(text: string | null): Finding {
  const match = /^Max open files\s+(\S+)\s+(\S+)/m.exec(text ?? '');
  if (!match) return ok('open files', 'the limit cannot be read here');
  const limit = match[2] === 'unlimited' ? Infinity : Number(match[2]);
  if (limit >= DESCRIPTORS_WANTED)
    return ok('open files', `limit ${limit === Infinity ? 'none' : limit}`);
  return bad(
    'open files',
    limit >= DESCRIPTORS_NEEDED ? 'warn' : 'fail',
    `limit ${limit}: fewer clients can be connected than the default of 65000`,
    `ulimit -Hn ${DESCRIPTORS_WANTED}   (as root; to keep it: LimitNOFILE= or /etc/security/limits.d)`,
  );
}

/**
 * @param availableBytes MemAvailable
 * @param cgroupBytes limit of the container, or null
 */
export function checkMemory(availableBytes: number, cgroupBytes: number | null): Finding {
  const bytes = Math.min(availableBytes, cgroupBytes ?? Infinity);
  const found = `${formatBytes(bytes)} available${cgroupBytes !== null && cgroupBytes < availableBytes ? " (the container's limit)" : ''}`;
  if (bytes >= MEMORY_WANTED_BYTES) return ok('memory', found);
  const verdict = bytes >= MEMORY_NEEDED_BYTES ? 'warn' : 'fail';
  return bad(
    'memory',
    verdict,
    `${found}: little for a daemon, proxies and nodes`,
    'give the machine or the container more memory',
  );
}

/** @param freeBytes for an ordinary user, on the disk of `directory` */
export function checkDisk(freeBytes: number, directory: string): Finding {
  const found = `${formatBytes(freeBytes)} free on the disk of ${directory}`;
  if (freeBytes >= DISK_WANTED_BYTES) return ok('disk', found);
  const verdict = freeBytes >= DISK_NEEDED_BYTES ? 'warn' : 'fail';
  return bad('disk', verdict, found, 'free some space, or choose another disk with --data-dir');
}

export interface DirectoryFacts {
  readonly path: string;
  readonly exists: boolean;
  /** Whether it, or the nearest directory above it that exists, can be written to. */
  readonly writable: boolean;
  readonly mode: number;
  readonly mine: boolean;
}

export function checkDataDir(facts: DirectoryFacts): Finding {
  const { path } = facts;
  if (!facts.writable)
    return bad(
      'data directory',
      'fail',
      `${path} cannot be written to`,
      'choose another one with --data-dir',
    );
  if (!facts.exists) return ok('data directory', `${path} will be made`);
  if (!facts.mine)
    return bad(
      'data directory',
      'fail',
      `${path} belongs to another user`,
      'choose another one with --data-dir',
    );
  if ((facts.mode & 0o077) !== 0)
    return bad(
      'data directory',
      'warn',
      `${path} is open to other users (mode ${facts.mode.toString(8)})`,
      `chmod 700 ${path}`,
    );
  return ok('data directory', path);
}

export interface PortFacts {
  readonly port: number;
  readonly what: string;
  readonly state: 'free' | 'in-use' | 'forbidden';
  /** The name of the cache of ours that has it. */
  readonly ours: string | null;
}

export function checkPort(facts: PortFacts, option: string): Finding {
  const check = `port ${facts.port}`;
  if (facts.ours !== null) return ok(check, `used by ${facts.ours}`);
  if (facts.state === 'free') return ok(check, `free (${facts.what})`);
  return bad(
    check,
    'warn',
    `${facts.state === 'in-use' ? 'in use by another program' : 'not allowed for you'} (${facts.what})`,
    `choose another one with ${option}`,
  );
}

/** @param version of the installed default engine, or null */
export function checkEngine(
  version: string | null,
  line: string,
  tools: AptTools,
  program: string,
): Finding[] {
  const missing = Object.entries(tools)
    .filter(([, present]) => !present)
    .map(([name]) => name);
  const engine =
    version !== null
      ? ok('engine', `Valkey ${version}`)
      : bad(
          'engine',
          missing.length === 0 ? 'warn' : 'fail',
          `Valkey ${line} is not installed yet${missing.length === 0 ? '; the first "up" does that' : ''}`,
          missing.length === 0 ? `${program} engine install ${line}` : 'see "installer" below',
        );
  if (missing.length === 0)
    return [engine, ok('installer', 'apt-get, dpkg-deb and the keyring of Debian are here')];
  return [
    engine,
    bad(
      'installer',
      version === null ? 'fail' : 'warn',
      `engines cannot be installed here: no ${missing.join(', ')}`,
      `${program} up --engine-binary /path/to/valkey-server   (or SPRINGTIDE_VALKEY_SERVER=...)`,
    ),
  ];
}

export interface AptTools {
  readonly 'apt-get': boolean;
  readonly 'dpkg-deb': boolean;
  readonly 'debian-archive-keyring': boolean;
}
