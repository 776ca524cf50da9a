import type { CaseFamily } from '../case-family.ts';

export const transactions: CaseFamily = {
  name: 'transactions',
  lines: String.raw`
MULTI
SET {a}k 1
INCR {a}k
GET {a}k
MGET {a}k {a}nothing
EVAL "return redis.call('GET',KEYS[1])" 1 {a}k
EXEC
EXEC
DISCARD
MULTI
MULTI
SET {a}k 5
DISCARD
GET {a}k
MULTI
SET {a}k
SET {a}k 7
EXEC
MULTI
NOSUCHCOMMAND
EXEC
MULTI
LPUSH {a}k x
SET {a}after 1
EXEC
GET {a}after
MULTI
EXEC
MULTI
BLPOP {a}nothing 0
XREAD BLOCK 0 STREAMS {a}nothing $
EXEC
WATCH {a}k
SET {a}k changed
MULTI
SET {a}k lost
EXEC
GET {a}k
WATCH {a}k
MULTI
SET {a}k kept
EXEC
WATCH {a}k
UNWATCH
SET {a}k free
MULTI
GET {a}k
EXEC
MULTI
WATCH {a}k
EXEC
MULTI
PING
ECHO hello
DEL {a}k {a}after
EXISTS {a}k
EXEC
MULTI
UNWATCH
PUBLISH channel message
SPUBLISH {a}channel message
MSETEX 1 {a}k v EX 100
EXEC
TTL {a}k
`,
};
