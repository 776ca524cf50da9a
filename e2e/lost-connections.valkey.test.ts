/**
 * The proxy's connections to the nodes are cut again and again under pipelines: each client sees its replies in order, its
 * own writes, and no error but INDOUBT, for what was sent and not answered and may not be executed twice.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeRequest } from '../src/protocol/request-encoder.ts';
import {
  decodeReply,
  itemsOf,
  RespError,
  textOf,
  type RespValue,
} from '../src/protocol/resp-value.ts';
import type { TestNode } from './harness/node-farm.ts';
import { ProxiedCache } from './harness/proxied-cache.ts';

const CLIENTS = 10;
const CUTS = 100;

it('lost connections to nodes show as INDOUBT only, and never in the order of replies', async () => {
  const cache = await ProxiedCache.start();
  let cuts = 0;
  try {
    const clients = Array.from({ length: CLIENTS }, (_, id) => talk(id));
    while (cuts < CUTS) {
      await sleep(10);
      cuts += await cutProxy(cache.nodes[cuts % cache.nodes.length]!);
    }
    const doubts = await Promise.all(clients);
    assert.ok(doubts.reduce((sum, each) => sum + each, 0) > 0, 'no request was under way at a cut');
  } finally {
    await cache.close();
  }

  /** Pipelines until the cuts are done; how many requests were in doubt. */
  async function talk(id: number): Promise<number> {
    const client = await cache.client();
    let doubts = 0;
    for (let round = 0; cuts < CUTS; round++) {
      // A script without keys may touch any key: in doubt, it makes reads that were sent before it come too late.
      const isScript = round % 2 === 1;
      const requests: Buffer[] = [];
      const checks: ((reply: RespValue) => void)[] = [];
      for (let i = 0; i < 40; i++) {
        const unique = `${id}-${round}-${i}`;
        if ((i % 5 === KEYLESS) !== isScript) continue;
        for (const [args, check] of exchange(i, unique)) {
          requests.push(encodeRequest(args));
          checks.push(check);
        }
      }
      client.write(Buffer.concat(requests));
      for (const check of checks) {
        const reply = decodeReply(await client.next());
        if (reply instanceof RespError && reply.kind === 'INDOUBT') doubts++;
        check(reply);
      }
    }
    return doubts;
  }
});

const KEYLESS = 3;

type Exchange = readonly (readonly [(string | number)[], (reply: RespValue) => void])[];

/**
 * Its last request is the last for its keys in the pipeline: a read that waits is not tried again once a later write to one
 * of them may have been executed. What the others of the pipeline do in the same slot does not matter, scripts apart, which
 * may touch any key of their slot.
 */
function exchange(i: number, unique: string): Exchange {
  const key = `{slot-${i % 2}}-${unique}`;
  const scriptKey = `{script}-${unique}`;
  let written = false;
  const isWritten = (reply: RespValue) => {
    written = textOf(reply) === 'OK';
    if (!written) assert.equal(reply instanceof RespError ? reply.kind : reply, 'INDOUBT');
  };
  const isSeen = (reply: RespValue) => {
    assert.equal(reply instanceof RespError ? reply.message : '', '');
    if (written) assert.equal(textOf(reply), unique);
  };
  const echoes = (reply: RespValue) => {
    if (reply instanceof RespError) assert.equal(reply.kind, 'INDOUBT');
    else assert.equal(textOf(reply), unique);
  };
  switch (i % 5) {
    case 0:
      return [
        [['SET', key, unique], isWritten],
        [['GET', key], isSeen],
      ];
    case 1: {
      const keys = ['a', 'b', 'c', 'd'].map((name) => `{slot-${name}}-${unique}`);
      return [
        [['MSET', ...keys.flatMap((each) => [each, unique])], isWritten],
        [['GET', keys[2]!], isSeen],
        [['MGET', ...keys], (reply) => assert.equal(itemsOf(reply).length, keys.length)],
      ];
    }
    case 2:
      return [[['EVAL', 'return ARGV[1]', 1, scriptKey, unique], echoes]];
    case KEYLESS:
      return [[['EVAL', 'return ARGV[1]', 0, unique], echoes]];
    default:
      return [[['PING', unique], (reply) => assert.equal(textOf(reply), unique)]];
  }
}

/** Cuts the proxy's connections to the node; how many there were. */
async function cutProxy(node: TestNode): Promise<number> {
  const list = await node.admin.text('CLIENT', 'LIST');
  let cuts = 0;
  for (const line of list.split('\n')) {
    const id = /^id=(\d+) .* name=springtide-proxy /.exec(line)?.[1];
    if (id === undefined) continue;
    await node.admin.call('CLIENT', 'KILL', 'ID', id);
    cuts++;
  }
  return cuts;
}
