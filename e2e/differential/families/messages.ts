import type { CaseFamily } from '../case-family.ts';

export const messages: CaseFamily = {
  name: 'messages',
  lines: String.raw`
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
`,
};
