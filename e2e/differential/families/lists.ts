import type { CaseFamily } from '../case-family.ts';

export const lists: CaseFamily = {
  name: 'lists',
  lines: String.raw`
RPUSH {a}l a b c
LPUSH {a}l z
RPUSHX {a}l d
LPUSHX {a}nothing d
LLEN {a}l
LRANGE {a}l 0 -1
LRANGE {a}l 1 2
LRANGE {a}l x 2
LINDEX {a}l 0
LINDEX {a}l -1
LINDEX {a}l 100
LSET {a}l 0 y
LSET {a}l 100 y
LSET {a}nothing 0 y
LINSERT {a}l BEFORE b bb
LINSERT {a}l AFTER nothing x
LINSERT {a}l MIDDLE b x
LPOS {a}l b
LPOS {a}l nothing
LPOS {a}l b RANK -1 COUNT 0
LPOS {a}l b RANK 0
LREM {a}l 0 bb
LTRIM {a}l 0 3
LPOP {a}l
LPOP {a}l 2
LPOP {a}l 0
LPOP {a}l -1
RPOP {a}l
RPOP {a}l
RPOP {a}nothing
RPOP {a}nothing 2
RPUSH {a}l a b c
RPOPLPUSH {a}l {a}l2
LMOVE {a}l {a}l2 LEFT RIGHT
LMOVE {a}l {a}l2 UP RIGHT
LMPOP 2 {a}l {a}l2 LEFT COUNT 2
LMPOP 1 {a}nothing LEFT
LMPOP 0 {a}l LEFT
LRANGE {a}l2 0 -1
SADD {a}s x
LPUSH {a}s a
RPOPLPUSH {a}l2 {a}s
LLEN {a}s
BLPOP {a}l2 0
BLPOP {a}nothing 0.02
BLPOP {a}s 1
BLPOP {a}l2 -1
BLPOP {a}l2 abc
RPUSH {a}l2 a b c d e f
BRPOP {a}nothing {a}l2 1
BRPOPLPUSH {a}l2 {a}l3 1
BRPOPLPUSH {a}nothing {a}l3 0.02
BLMOVE {a}l2 {a}l3 LEFT LEFT 1
BLMOVE {a}nothing {a}l3 LEFT LEFT 0.02
BLMPOP 1 2 {a}nothing {a}l2 RIGHT COUNT 2
BLMPOP 0.02 1 {a}nothing LEFT
LRANGE {a}l3 0 -1
`,
};
