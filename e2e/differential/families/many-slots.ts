/** Keys in many slots: what a sharded cache splits, an unsharded one just does. */
import type { CaseFamily } from '../case-family.ts';

export const manySlots: CaseFamily = {
  name: 'keys in many slots',
  lines: String.raw`
MSET k1 1 k2 2 k3 3 k4 4 k5 5 k6 6 k7 7
MGET k1 k2 k3 k4 k5 k6 k7 nothing k1
MGET k7
EXISTS k1 k2 k3 k1 nothing
TOUCH k1 k2 k3 nothing
MSET k1 a k1 b
MSET k1 a k9 9 k1 c
GET k1
MSET k1 1 k2
MSET k1
MGET
RPUSH list1 a
MGET list1 k2 k3
DBSIZE
~ KEYS *
~ KEYS k?
DEL k1 k2 k3 nothing k1
UNLINK k4 k5 k4
EXISTS k1 k2 k3 k4 k5 k6 k7
FLUSHALL
DBSIZE
`,
};
