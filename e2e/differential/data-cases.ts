/**
 * What is sent to the proxy and to a plain server, one command on a line, in inline syntax. Keys share the tag {a} so that a
 * sharded cache has them in one slot. A line may begin with
 *
 *   ~  the same elements, in any order
 *   ?  the same type of reply only: time, ids, random choice
 */
import type { CaseFamily } from './case-family.ts';

const strings = String.raw`
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
`;

const bits = String.raw`
SETBIT {a}b 7 1
SETBIT {a}b 100 1
SETBIT {a}b 7 2
SETBIT {a}b -1 1
GETBIT {a}b 7
GETBIT {a}b 1000
BITCOUNT {a}b
BITCOUNT {a}b 0 5
BITCOUNT {a}b 0 50 BIT
BITCOUNT {a}b 0
BITPOS {a}b 1
BITPOS {a}b 0 2
BITPOS {a}b 1 2 -1 BIT
BITPOS {a}b 2
BITOP AND {a}o {a}b {a}b
BITOP NOT {a}o {a}b
BITOP NOT {a}o {a}b {a}b
BITOP XOR {a}o {a}b {a}nothing
BITFIELD {a}f SET u8 0 255 INCRBY u8 0 10 GET u4 0
BITFIELD {a}f OVERFLOW FAIL INCRBY u2 100 5
BITFIELD {a}f OVERFLOW SAT INCRBY i8 #1 200
BITFIELD {a}f GET u65 0
BITFIELD_RO {a}f GET u8 0 GET i16 1
BITFIELD_RO {a}f SET u8 0 1
PFADD {a}h a b c
PFADD {a}h a
PFADD {a}h2 c d
PFCOUNT {a}h
PFCOUNT {a}h {a}h2
PFMERGE {a}h3 {a}h {a}h2
PFCOUNT {a}h3
PFCOUNT {a}b
PFADD {a}b x
`;

const keys = String.raw`
SET {a}k 1
SADD {a}set 1 2 3
TYPE {a}k
TYPE {a}set
TYPE {a}nothing
OBJECT ENCODING {a}k
OBJECT ENCODING {a}set
OBJECT ENCODING {a}nothing
OBJECT REFCOUNT {a}k
OBJECT IDLETIME {a}k
OBJECT FREQ {a}k
OBJECT HELP
OBJECT nonsense {a}k
? MEMORY USAGE {a}k
MEMORY USAGE {a}k SAMPLES x
MEMORY USAGE {a}nothing
MEMORY HELP
EXPIRE {a}k 100
EXPIRE {a}k 100 NX
EXPIRE {a}k 50 GT
EXPIRE {a}k 50 LT
EXPIRE {a}k 50 NX XX
EXPIRE {a}k abc
EXPIRE {a}k 9223372036854775807
TTL {a}k
? PTTL {a}k
PTTL {a}nothing
TTL {a}set
PEXPIRE {a}k 70000
PERSIST {a}k
PERSIST {a}k
EXPIREAT {a}k 33177117420
EXPIRETIME {a}k
PEXPIREAT {a}k 33177117420000
PEXPIRETIME {a}k
EXPIRE {a}k -1
EXISTS {a}k
SET {a}k 1
EXISTS {a}k {a}k {a}nothing
TOUCH {a}k {a}set {a}nothing
RENAME {a}k {a}k2
RENAME {a}nothing {a}k2
RENAMENX {a}k2 {a}set
RENAMENX {a}k2 {a}k
COPY {a}k {a}c
COPY {a}k {a}c
COPY {a}k {a}c REPLACE
COPY {a}nothing {a}c
GET {a}c
DUMP {a}k
DUMP {a}nothing
RESTORE {a}r 0 garbage
RESTORE {a}r -1 x
RESTORE {a}r 0 "\x00\xc0\x01\n\x00\xaf\xd5\x17\x80\x1c\x07\xf1\x0d"
SORT {a}set DESC
SORT {a}set ALPHA LIMIT 0 2
SORT {a}set STORE {a}sorted
SORT_RO {a}set
SORT {a}k
LRANGE {a}sorted 0 -1
DEL {a}k {a}set {a}nothing
UNLINK {a}c {a}sorted
EXISTS {a}c
DEL {a}c
`;

const lists = String.raw`
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
`;

const hashes = String.raw`
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
`;

const sets = String.raw`
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
`;

const sortedSets = String.raw`
ZADD {a}z 1 a 2 b 3 c
ZADD {a}z NX 5 a
ZADD {a}z XX CH 5 a
ZADD {a}z GT CH 4 a
ZADD {a}z INCR 1.5 a
ZADD {a}z NX XX 1 a
ZADD {a}z inf d -inf e
ZADD {a}z nan x
ZADD {a}z abc x
ZSCORE {a}z a
ZSCORE {a}z d
ZSCORE {a}z nothing
ZMSCORE {a}z a nothing d
ZINCRBY {a}z 0.1 b
ZCARD {a}z
ZCOUNT {a}z 1 (5
ZCOUNT {a}z x y
ZRANK {a}z a
ZRANK {a}z a WITHSCORE
ZRANK {a}z nothing
ZREVRANK {a}z a
ZREVRANK {a}z nothing WITHSCORE
ZRANGE {a}z 0 -1
ZRANGE {a}z 0 -1 WITHSCORES
ZRANGE {a}z 1 3 BYSCORE LIMIT 0 1
ZRANGE {a}z 3 1 BYSCORE REV WITHSCORES
ZRANGE {a}z [a [c BYLEX
ZRANGE {a}z 0 1 LIMIT 0 1
ZREVRANGE {a}z 0 1 WITHSCORES
ZRANGEBYSCORE {a}z -inf +inf WITHSCORES LIMIT 1 2
ZREVRANGEBYSCORE {a}z +inf 0 WITHSCORES
ZRANGESTORE {a}o {a}z 0 1
ZADD {a}lex 0 a 0 b 0 c 0 d
ZRANGEBYLEX {a}lex [b (d
ZREVRANGEBYLEX {a}lex + -
ZLEXCOUNT {a}lex [b +
ZLEXCOUNT {a}lex b c
ZREMRANGEBYLEX {a}lex [a [a
ZREMRANGEBYRANK {a}lex 0 0
ZREMRANGEBYSCORE {a}z (3 4
ZADD {a}y 1 a 2 b 9 q
ZUNION 2 {a}z {a}y WITHSCORES
ZUNION 2 {a}z {a}y WEIGHTS 2 3 AGGREGATE MAX WITHSCORES
ZINTER 2 {a}z {a}y WITHSCORES
ZINTERCARD 2 {a}z {a}y LIMIT 1
ZDIFF 2 {a}y {a}z WITHSCORES
ZUNIONSTORE {a}o 2 {a}z {a}y
ZINTERSTORE {a}o 2 {a}z {a}y WEIGHTS 1 x
ZINTERSTORE {a}o 2 {a}z {a}y
ZDIFFSTORE {a}o 2 {a}z {a}y
ZUNION 0 {a}z
ZUNION 5 {a}z
ZPOPMIN {a}y
ZPOPMAX {a}y 2
ZPOPMIN {a}nothing
ZPOPMAX {a}nothing 2
ZADD {a}y 1 a 2 b 3 c 4 d 5 e
ZMPOP 2 {a}nothing {a}y MIN COUNT 2
ZMPOP 1 {a}nothing MAX
BZPOPMIN {a}nothing {a}y 1
BZPOPMAX {a}y 1
BZPOPMIN {a}nothing 0.02
BZPOPMAX {a}nothing 0.02
BZMPOP 1 1 {a}y MAX
BZMPOP 0.02 1 {a}nothing MIN
ZREM {a}z a nothing
ZSCAN {a}z 0
ZSCAN {a}z 0 MATCH b
ZSCAN {a}z 0 NOSCORES
ZADD {a}one 1.5 x
ZRANDMEMBER {a}one
ZRANDMEMBER {a}one 1 WITHSCORES
ZRANDMEMBER {a}one -2 WITHSCORES
ZRANDMEMBER {a}nothing
SET {a}str x
ZADD {a}str 1 a
ZRANGE {a}str 0 -1
GEOADD {a}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEOADD {a}g 200 100 nowhere
GEODIST {a}g Palermo Catania km
GEODIST {a}g Palermo nothing
GEOHASH {a}g Palermo nothing
GEOPOS {a}g Palermo nothing
GEOSEARCH {a}g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH
GEOSEARCH {a}g FROMMEMBER Palermo BYBOX 400 400 km DESC COUNT 1
GEOSEARCH {a}g BYRADIUS 200 km
GEOSEARCHSTORE {a}g2 {a}g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST
GEORADIUS {a}g 15 37 200 km WITHDIST ASC
GEORADIUS {a}g 15 37 200 km STORE {a}g3
GEORADIUS_RO {a}g 15 37 200 km ASC
GEORADIUSBYMEMBER {a}g Palermo 300 km ASC
GEORADIUSBYMEMBER {a}g Palermo 300 km STORE {a}g3
GEORADIUSBYMEMBER_RO {a}g Palermo 300 km ASC
ZRANGE {a}g2 0 -1 WITHSCORES
`;

const streams = String.raw`
XADD {a}x 1-1 f v
XADD {a}x 1-1 f v
XADD {a}x 2-1 f v g w
XADD {a}x 1-5 f v
XADD {a}x 3-* f v
XADD {a}x NOMKSTREAM MAXLEN 100 4-1 f v
XADD {a}nothing NOMKSTREAM 4-1 f v
? XADD {a}auto * f v
XADD {a}x 5-1 f
XLEN {a}x
XRANGE {a}x - +
XRANGE {a}x 2 + COUNT 1
XRANGE {a}x (2-1 +
XREVRANGE {a}x + - COUNT 2
XREAD COUNT 2 STREAMS {a}x 0
XREAD STREAMS {a}x $
XREAD STREAMS {a}x {a}auto 0
XREAD COUNT 1 STREAMS {a}x {a}x 0 2
XREAD BLOCK 20 STREAMS {a}x $
XREAD BLOCK 1000 STREAMS {a}x 3
XREAD BLOCK abc STREAMS {a}x $
XREAD STREAMS {a}x +
XGROUP CREATE {a}x g 0
XGROUP CREATE {a}x g 0
XGROUP CREATE {a}nothing g 0
XGROUP CREATE {a}made g $ MKSTREAM
XGROUP CREATECONSUMER {a}x g bob
XGROUP CREATECONSUMER {a}x g bob
XGROUP SETID {a}x g 0
XGROUP HELP
XREADGROUP GROUP g alice COUNT 2 STREAMS {a}x >
XREADGROUP GROUP g alice STREAMS {a}x 0
XREADGROUP GROUP g alice BLOCK 1000 COUNT 1 STREAMS {a}x >
XREADGROUP GROUP g alice COUNT 100 NOACK STREAMS {a}x >
XREADGROUP GROUP g alice BLOCK 20 STREAMS {a}x >
XREADGROUP GROUP nothing alice STREAMS {a}x >
XPENDING {a}x g
? XPENDING {a}x g - + 10
XPENDING {a}x g - + 10 nobody
XACK {a}x g 1-1 9-9
XCLAIM {a}x g bob 0 2-1
XCLAIM {a}x g bob 0 2-1 JUSTID
XAUTOCLAIM {a}x g bob 0 0 COUNT 10
XAUTOCLAIM {a}x g bob 0 0 JUSTID
XINFO STREAM {a}x
? XINFO STREAM {a}x FULL
? XINFO CONSUMERS {a}x g
XINFO GROUPS {a}x
XINFO STREAM {a}nothing
XINFO HELP
XDEL {a}x 1-1 9-9
XTRIM {a}x MAXLEN 2
XTRIM {a}x MINID 3
XTRIM {a}x MAXLEN -1
XSETID {a}x 99-1
XSETID {a}x 1-1
XGROUP DELCONSUMER {a}x g bob
XGROUP DESTROY {a}x g
XGROUP DESTROY {a}x g
SET {a}s x
XADD {a}s 1-1 f v
XLEN {a}s
XREAD STREAMS {a}s 0
`;

/** Families of commands that one slot can answer. */
export const dataCases: readonly CaseFamily[] = [
  { name: 'strings', lines: strings },
  { name: 'bits and HyperLogLog', lines: bits },
  { name: 'keys', lines: keys },
  { name: 'lists', lines: lists },
  { name: 'hashes', lines: hashes },
  { name: 'sets', lines: sets },
  { name: 'sorted sets and places', lines: sortedSets },
  { name: 'streams', lines: streams },
];
