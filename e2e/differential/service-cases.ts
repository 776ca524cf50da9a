/** Commands about scripts, messages, connections and the server itself; see data-cases.ts for the marks. */
import type { CaseFamily } from './case-family.ts';

const scripts = String.raw`
EVAL "return {1,2,'three',{4}}" 0
EVAL "return redis.call('SET',KEYS[1],ARGV[1])" 1 {a}k v
EVAL "return redis.call('GET',KEYS[1])" 1 {a}k
EVAL "return redis.error_reply('MY error')" 0
EVAL "return redis.status_reply('FINE')" 0
EVAL "redis.setresp(3); return {double=3.5}" 0
EVAL "redis.setresp(3); return {map={a=1}}" 0
EVAL "return redis.call('INCR',KEYS[1])" 1 {a}k
EVAL "return redis.pcall('INCR',KEYS[1])['err']" 1 {a}k
EVAL "syntax error here" 0
EVAL "return 1" abc
EVAL "return 1" -1
EVAL "return 1" 3 {a}k
EVAL "return KEYS" 2 {a}1 {a}2
EVAL "return {false, true, nil, 1}" 0
EVAL_RO "return redis.call('GET',KEYS[1])" 1 {a}k
EVAL_RO "return redis.call('SET',KEYS[1],'x')" 1 {a}k
SCRIPT LOAD "return {KEYS[1],ARGV[1]}"
SCRIPT LOAD "not lua"
SCRIPT EXISTS 2a5ef4d1a9a2a5ba4ac8a1c5b8ad4b6ab35ab9fb e0e1f9fabfc9d4800c877a703b823ac0578ff8db
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA 0000000000000000000000000000000000000000 0
EVALSHA_RO 0000000000000000000000000000000000000000 0
SCRIPT SHOW 0000000000000000000000000000000000000000
SCRIPT HELP
SCRIPT KILL
SCRIPT FLUSH
SCRIPT FLUSH ASYNC
SCRIPT FLUSH nonsense
FUNCTION LOAD "#!lua name=lib\nserver.register_function('put', function(k,a) return server.call('SET',k[1],a[1]) end)\nserver.register_function{function_name='see', callback=function(k,a) return server.call('GET',k[1]) end, flags={'no-writes'}}"
FUNCTION LOAD "#!lua name=lib\nserver.register_function('put', function(k,a) return 1 end)"
FUNCTION LOAD REPLACE "#!lua name=other\nserver.register_function('one', function(k,a) return 1 end)"
FUNCTION LOAD "no shebang"
~ FUNCTION LIST
FUNCTION LIST LIBRARYNAME other WITHCODE
FUNCTION LIST nonsense
FUNCTION STATS
FUNCTION KILL
FUNCTION HELP
? FUNCTION DUMP
FUNCTION RESTORE garbage
FCALL put 1 {a}f value
FCALL see 1 {a}f
FCALL nothing 0
FCALL put 1 {a}f
FCALL_RO see 1 {a}f
FCALL_RO put 1 {a}f v
FUNCTION DELETE other
FUNCTION DELETE other
FUNCTION FLUSH
FUNCTION FLUSH nonsense
FUNCTION LIST
`;

const transactions = String.raw`
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
`;

const messages = String.raw`
PUBLISH channel message
PUBLISH {a}channel ""
SPUBLISH {a}shard message
PUBSUB CHANNELS
PUBSUB CHANNELS x*
PUBSUB NUMSUB
PUBSUB NUMSUB a b
PUBSUB NUMPAT
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB a
PUBSUB HELP
PUBSUB nonsense
`;

const connection = String.raw`
PING
PING hello
PING a b
ECHO hello
SELECT 1
SET {a}k one
SELECT 0
GET {a}k
SELECT 1
GET {a}k
DEL {a}k
SELECT 0
SELECT abc
SELECT 99
SELECT -1
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME "with space"
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT SETINFO lib-name tester
CLIENT SETINFO lib-ver 1.0
CLIENT SETINFO lib-nonsense 1.0
CLIENT SETINFO lib-name "with space"
? CLIENT ID
? CLIENT INFO
? CLIENT LIST
CLIENT LIST TYPE nonsense
CLIENT NO-EVICT on
CLIENT NO-EVICT off
CLIENT NO-EVICT maybe
CLIENT NO-TOUCH on
CLIENT NO-TOUCH off
CLIENT CAPA redirect
CLIENT IMPORT-SOURCE on
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT CACHING yes
CLIENT TRACKING off
CLIENT TRACKING maybe
CLIENT UNBLOCK 999999
CLIENT UNBLOCK abc
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID 999999999
CLIENT KILL TYPE nonsense
CLIENT HELP
CLIENT nonsense
CLIENT REPLY on
CLIENT REPLY maybe
HELLO 9
HELLO abc
HELLO 3 NONSENSE
HELLO 3 SETNAME "a b"
AUTH default wrong user
AUTH nothing
RESET
PING
? HELLO 2 SETNAME again
CLIENT GETNAME
ACL WHOAMI
~ ACL CAT
~ ACL CAT scripting
ACL CAT nonsense
? ACL GENPASS
? ACL GENPASS 5
ACL GENPASS abc
ACL DRYRUN default GET x
ACL DRYRUN nothing GET x
? ACL LOG
ACL HELP
? ACL USERS
? ACL LIST
ACL GETUSER nothing
? ACL GETUSER default
`;

const server = String.raw`
COMMAND COUNT
~ COMMAND LIST
COMMAND LIST FILTERBY PATTERN xad*
COMMAND INFO get mset nothing
~ COMMAND INFO
COMMAND DOCS getex
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYS GET
COMMAND GETKEYS PING
COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT
COMMAND HELP
COMMAND nonsense
~ COMMAND
CONFIG GET databases
CONFIG GET nonsense-option
CONFIG HELP
? TIME
? LASTSAVE
? LOLWUT
LOLWUT VERSION 5 1 1 1
? ROLE
WAIT 0 10
WAIT 1 10
WAIT abc 10
WAITAOF 0 0 10
WAITAOF 1 0 10
? INFO
? INFO server
? INFO everything
INFO nonsense
SLOWLOG LEN
SLOWLOG GET
SLOWLOG GET abc
SLOWLOG RESET
SLOWLOG HELP
COMMANDLOG LEN slow
COMMANDLOG GET 10 slow
COMMANDLOG GET 10 large-reply
COMMANDLOG RESET slow
COMMANDLOG LEN nonsense
COMMANDLOG HELP
LATENCY LATEST
LATENCY HISTORY command
LATENCY GRAPH nonsense
LATENCY RESET
LATENCY RESET command
? LATENCY DOCTOR
? LATENCY HISTOGRAM
LATENCY HISTOGRAM nonsense
LATENCY HELP
? MEMORY DOCTOR
? MEMORY STATS
? MEMORY MALLOC-STATS
MEMORY PURGE
MODULE LIST
MODULE HELP
NOSUCHCOMMAND a b "c\r\nd"
CONFIG nonsense
`;

const keyspace = String.raw`
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
`;

/** Keys in many slots: what a sharded cache splits, an unsharded one just does. */
const manySlots = String.raw`
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
`;

const unshardedOnly = String.raw`
MSET k1 1 k2 2 k3 3
MSETNX k8 1 k9 2
RENAME k1 k5
COPY k5 k6
COPY k5 k6 DB 3
SUNION k1 other
SADD s1 a b
SADD s2 b c
SINTERSTORE s3 s1 s2
SMOVE s1 s2 a
BITOP OR dest k2 k3
PFADD h1 a
PFADD h2 b
PFMERGE h3 h1 h2
PFCOUNT h1 h2
MULTI
SET k1 x
SET k2 y
SELECT 2
SET k2 inside
EXEC
GET k2
SELECT 0
GET k2
WATCH k1 k2
MULTI
GET k1
EXEC
EVAL "return {redis.call('GET','k1'),redis.call('GET','k2')}" 0
EVAL "return redis.call('MGET',KEYS[1],KEYS[2])" 2 k1 k2
BLPOP s4 s5 0.02
LPUSH l1 a b c
BLMPOP 1 2 l0 l1 LEFT
LMOVE l1 l2 LEFT RIGHT
SORT l1 BY w_* GET # GET v_* ALPHA
MOVE k2 4
MOVE k2 4
SWAPDB 0 4
GET k2
SWAPDB 0 4
SWAPDB 0 99
SWAPDB a b
? RANDOMKEY
CLUSTER INFO
CLUSTER SLOTS
CLUSTER SHARDS
CLUSTER NODES
CLUSTER MYID
CLUSTER MYSHARDID
CLUSTER LINKS
CLUSTER REPLICAS x
CLUSTER SLAVES x
CLUSTER COUNTKEYSINSLOT 1
CLUSTER GETKEYSINSLOT 1 1
CLUSTER COUNT-FAILURE-REPORTS x
CLUSTER SLOT-STATS SLOTSRANGE 0 1
CLUSTER KEYSLOT {a}k
CLUSTER HELP
CLUSTERSCAN 0
READONLY
READWRITE
ASKING
`;

/** What a sharded cache does as a cluster does it, and a plain server does not: all of it in differences.ts. */
const shardedOnly = String.raw`
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
`;

/** In a cluster, and so in a sharded cache, the engine does these differently from a plain server: see differences.ts. */
export const serviceCases: readonly CaseFamily[] = [
  { name: 'scripts and functions', lines: scripts },
  { name: 'transactions', lines: transactions },
  { name: 'messages', lines: messages },
  { name: 'the connection', lines: connection },
  { name: 'the server', lines: server },
  { name: 'the keyspace', lines: keyspace },
  { name: 'keys in many slots', lines: manySlots },
  { name: 'what only an unsharded cache can do', lines: unshardedOnly, only: 'unsharded' },
  { name: 'what a cluster does in its own way', lines: shardedOnly, only: 'sharded' },
];
