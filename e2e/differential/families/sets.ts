import type { CaseFamily } from '../case-family.ts';

export const sets: CaseFamily = {
  name: 'sets',
  lines: String.raw`
SADD {a}s a b c
SADD {a}s a d
SADD {a}t c d e
SADD {a}i 1 2 3
SCARD {a}s
SISMEMBER {a}s a
SISMEMBER {a}s nothing
SMISMEMBER {a}s a nothing c
~ SMEMBERS {a}s
SMEMBERS {a}i
SMEMBERS {a}nothing
SREM {a}s d nothing
SMOVE {a}s {a}t a
SMOVE {a}s {a}t nothing
~ SINTER {a}s {a}t
SINTERCARD 2 {a}s {a}t
SINTERCARD 2 {a}s {a}t LIMIT 1
SINTERCARD 0 {a}s
~ SUNION {a}s {a}t {a}nothing
~ SDIFF {a}s {a}t
SINTERSTORE {a}o {a}s {a}t
SUNIONSTORE {a}o {a}s {a}t
SDIFFSTORE {a}o {a}s {a}t
SSCAN {a}i 0
~ SSCAN {a}s 0 COUNT 100
SADD {a}one x
SRANDMEMBER {a}one
SRANDMEMBER {a}one -3
SRANDMEMBER {a}nothing
SRANDMEMBER {a}nothing 2
SPOP {a}one
SPOP {a}one
~ SPOP {a}s 100
SPOP {a}nothing 2
SPOP {a}t -1
SET {a}str x
SADD {a}str a
SMEMBERS {a}str
SINTER {a}str {a}t
`,
};
