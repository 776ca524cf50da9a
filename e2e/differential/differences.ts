/**
 * Where a cache answers differently from one plain server, and why. The differential test allows these and no others, and
 * fails when one of them is no difference any more. docs/commands.md tells them to users.
 */
export interface Difference {
  /** Name of the family of cases. */
  readonly family: string;
  /** The case's line, whole. */
  readonly line: string;
  readonly cache: 'sharded' | 'unsharded' | 'both';
  /** What the cache says instead. */
  readonly proxy: RegExp;
  readonly reason: string;
}

const CLUSTER = 'what a cluster does in its own way';
const CROSS_SLOT = /^-CROSSSLOT Keys in request don't hash to the same slot\r\n$/;

function inCluster(lines: string, proxy: RegExp, reason: string): Difference[] {
  return lines
    .trim()
    .split('\n')
    .map((line) => ({ family: CLUSTER, line, cache: 'sharded', proxy, reason }));
}

const severalSlots = String.raw`
RENAME one two
COPY one two
MSETNX one 1 two 2
MSETEX 2 one 1 two 2
SMOVE one two x
SUNION one two
SINTERSTORE three one two
ZUNION 2 one two
PFCOUNT one two
BITOP OR three one two
LMOVE one two LEFT LEFT
BLPOP one two 1
XREAD STREAMS one two 0 0
EVAL "return 1" 2 one two
SET two 2
WATCH one two
`;

export const differences: readonly Difference[] = [
  ...inCluster(
    severalSlots,
    CROSS_SLOT,
    'keys in several slots at once: split over shards they would not be one command any more; use a hash tag, or an unsharded cache',
  ),
  ...inCluster('EXEC', /^-EXECABORT /, 'a transaction belongs to one slot'),
  ...inCluster(
    'SORT one BY w_*',
    /^-ERR BY option of SORT denied in Cluster mode/,
    'reads keys of other slots',
  ),
  ...inCluster(
    'SWAPDB 0 1',
    /^-ERR SWAPDB is not allowed in cluster mode\r\n$/,
    "the engine's rule in a cluster",
  ),
  ...inCluster(
    ['INFO', 'SLOTS', 'SHARDS', 'NODES', 'MYID', 'MYSHARDID', 'LINKS', 'COUNTKEYSINSLOT 1', 'HELP']
      .map((what) => `CLUSTER ${what}`)
      .join('\n'),
    /^[$*=:]/,
    'a sharded cache is a cluster of one virtual node with one virtual replica',
  ),
  ...inCluster('ASKING', /^\+OK\r\n$/, 'accepted: what it asks for, the cache does by itself'),
  ...inCluster(
    'HELLO',
    /mode\r\n\$7\r\ncluster\r\n/,
    'the id is the one that the proxy gave, the mode is cluster, and no modules are listed',
  ),
];
