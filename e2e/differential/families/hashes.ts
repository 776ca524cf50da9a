import type { CaseFamily } from '../case-family.ts';

export const hashes: CaseFamily = {
  name: 'hashes',
  lines: String.raw`
HSET {a}h f1 v1 f2 v2
HSET {a}h f1 v1 f2
HSET {a}h f1 again
HSETNX {a}h f1 x
HSETNX {a}h f3 "\x00\xff"
HMSET {a}h f4 4
HGET {a}h f1
HGET {a}h nothing
HMGET {a}h f1 nothing f3
HGETALL {a}h
HGETALL {a}nothing
HKEYS {a}h
HVALS {a}h
HLEN {a}h
HSTRLEN {a}h f1
HEXISTS {a}h f1
HEXISTS {a}h nothing
HINCRBY {a}h n 5
HINCRBY {a}h f1 5
HINCRBYFLOAT {a}h n 0.5
HINCRBYFLOAT {a}h f1 0.5
HDEL {a}h f4 nothing
HSCAN {a}h 0
HSCAN {a}h 0 MATCH f1 COUNT 100
HSCAN {a}h 0 NOVALUES
HSCAN {a}h abc
HSET {a}one f v
HRANDFIELD {a}one
HRANDFIELD {a}one 1 WITHVALUES
HRANDFIELD {a}one -2
HRANDFIELD {a}nothing
HEXPIRE {a}h 100 FIELDS 2 f1 nothing
HEXPIRE {a}h 100 NX FIELDS 1 f1
HEXPIRE {a}h 100 FIELDS 3 f1
HPEXPIRE {a}h 200000 FIELDS 1 f2
HEXPIREAT {a}h 33177117420 FIELDS 1 f2
HPEXPIREAT {a}h 33177117420000 FIELDS 1 f1
HTTL {a}h FIELDS 2 f3 nothing
? HPTTL {a}h FIELDS 1 f1
HEXPIRETIME {a}h FIELDS 2 f1 f2
HPEXPIRETIME {a}h FIELDS 1 f1
HPERSIST {a}h FIELDS 2 f1 f3
HTTL {a}h FIELDS 1 f1
HTTL {a}nothing FIELDS 1 f1
HGETEX {a}h EX 100 FIELDS 2 f1 nothing
HGETEX {a}h PERSIST FIELDS 1 f1
HSETEX {a}h EX 100 FIELDS 2 f1 a f9 b
HSETEX {a}h FNX FIELDS 1 f1 a
HGETDEL {a}h FIELDS 2 f9 nothing
HLEN {a}h
SET {a}s x
HGET {a}s f
HSET {a}s f v
HGETALL {a}s
`,
};
