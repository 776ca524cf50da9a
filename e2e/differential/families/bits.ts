import type { CaseFamily } from '../case-family.ts';

export const bits: CaseFamily = {
  name: 'bits and HyperLogLog',
  lines: String.raw`
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
`,
};
