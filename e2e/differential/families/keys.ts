import type { CaseFamily } from '../case-family.ts';

export const keys: CaseFamily = {
  name: 'keys',
  lines: String.raw`
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
`,
};
