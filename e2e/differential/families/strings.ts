import type { CaseFamily } from '../case-family.ts';

export const strings: CaseFamily = {
  name: 'strings',
  lines: String.raw`
SET {a}s hello
GET {a}s
SET {a}s x NX
SET {a}s x NX GET
SET {a}s world XX GET
SET {a}s v EX 100
TTL {a}s
SET {a}s v2 KEEPTTL
TTL {a}s
SET {a}s v PX 100000 EXAT 5
SET {a}s v EXAT 99999999999
EXPIRETIME {a}s
SET {a}s v IFEQ nothing
SET {a}s v3 IFEQ v
SET {a}s ""
GET {a}s
SET {a}bin "\x00\r\n\xff$3\r\n"
GET {a}bin
STRLEN {a}bin
GETSET {a}s again
GETDEL {a}s
GETDEL {a}s
GET {a}s
SETNX {a}s 10
SETNX {a}s 11
SETEX {a}e 100 v
SETEX {a}e 0 v
SETEX {a}e -1 v
SETEX {a}e abc v
PSETEX {a}e 100000 v
PSETEX {a}e 0 v
PEXPIRETIME {a}nothing
GETEX {a}e PERSIST
GETEX {a}e EX 200
TTL {a}e
GETEX {a}e EX 1 PX 1
INCR {a}s
INCRBY {a}s 5
DECR {a}s
DECRBY {a}s 3
INCRBY {a}s 9223372036854775807
DECRBY {a}s -9223372036854775808
INCRBYFLOAT {a}s 0.1
INCRBYFLOAT {a}s abc
INCRBYFLOAT {a}s 3.0e2
INCR {a}s
APPEND {a}s xyz
APPEND {a}new ""
EXISTS {a}new
STRLEN {a}s
STRLEN {a}nothing
GETRANGE {a}s 0 2
GETRANGE {a}s -3 -1
SUBSTR {a}s 1 2
SETRANGE {a}s 3 ABC
SETRANGE {a}pad 5 x
SETRANGE {a}s -1 x
SETRANGE {a}s 600000000 x
GET {a}pad
MSET {a}m1 1 {a}m2 2
MSET {a}m1 1 {a}m2
MSETNX {a}m1 1 {a}m9 2
MSETNX {a}m8 1 {a}m9 2
MGET {a}m1 {a}m2 {a}nothing {a}m8
MSETEX 2 {a}x1 1 {a}x2 2 EX 100
MSETEX 1 {a}x1 1 NX
MSETEX 3 {a}x1 1
TTL {a}x1
DELIFEQ {a}x1 2
DELIFEQ {a}x1 1
SET {a}l1 ohmytext
SET {a}l2 mynewtext
LCS {a}l1 {a}l2
LCS {a}l1 {a}l2 LEN
LCS {a}l1 {a}l2 IDX MINMATCHLEN 4 WITHMATCHLEN
LCS {a}l1 {a}l2 LEN IDX
RPUSH {a}list a
GET {a}list
INCR {a}list
APPEND {a}list x
SET {a}list x GET
MGET {a}list {a}m1
`,
};
