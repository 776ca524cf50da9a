import type { CaseFamily } from '../case-family.ts';

export const keyspace: CaseFamily = {
  name: 'the keyspace',
  lines: String.raw`
DBSIZE
KEYS *
RANDOMKEY
SCAN 0
SCAN 0 MATCH nothing* COUNT 5 TYPE string
SCAN abc
SCAN 0 COUNT 0
SCAN 0 NONSENSE x
SET {a}one 1
DBSIZE
KEYS *
KEYS {*
KEYS x*
RANDOMKEY
FLUSHDB
DBSIZE
SET {a}one 1
FLUSHDB ASYNC
FLUSHDB nonsense
FLUSHALL
FLUSHALL SYNC
FLUSHALL nonsense
DBSIZE
`,
};
