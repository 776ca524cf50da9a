import type { CaseFamily } from '../case-family.ts';

export const streams: CaseFamily = {
  name: 'streams',
  lines: String.raw`
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
`,
};
