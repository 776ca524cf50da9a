/** What a sharded cache does as a cluster does it, and a plain server does not: all of it in differences.ts. */
import type { CaseFamily } from '../case-family.ts';

export const shardedOnly: CaseFamily = {
  name: 'what a cluster does in its own way',
  only: 'sharded',
  lines: String.raw`
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
SORT one BY w_*
SWAPDB 0 1
MULTI
SET one 1
SET two 2
EXEC
WATCH one two
CLUSTER INFO
CLUSTER SLOTS
CLUSTER SHARDS
CLUSTER NODES
CLUSTER MYID
CLUSTER MYSHARDID
CLUSTER LINKS
CLUSTER KEYSLOT one
CLUSTER COUNTKEYSINSLOT 1
CLUSTER HELP
ASKING
HELLO
`,
};
