/**
 * The same commands to a cache and to one plain server: replies equal byte for byte, but for differential/differences.ts.
 * Each family runs one command at a time, then as one pipeline, then as a pipeline cut at random places.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { encodeRequest } from '../src/protocol/request-encoder.ts';
import { casesOf, differenceOf, type Case } from './differential/case-family.ts';
import { caseFamilies } from './differential/case-families.ts';
import { differences } from './differential/differences.ts';
import type { TestNode } from './harness/node-farm.ts';
import { randomFrom } from './harness/random.ts';
import { ServedCache } from './harness/served-cache.ts';
import { RawClient } from './harness/raw-client.ts';

type Kind = 'sharded' | 'unsharded';
const KINDS: readonly Kind[] = ['sharded', 'unsharded'];

let caches: Record<Kind, ServedCache>;
let plain: TestNode;

before(async () => {
  const [sharded, unsharded] = await Promise.all([
    ServedCache.start({ sharding: true }),
    ServedCache.start({ sharding: false }),
  ]);
  caches = { sharded, unsharded };
  plain = await unsharded.farm.startPlain();
});
after(async () => {
  await Promise.all(Object.values(caches ?? {}).map((cache) => cache.stop()));
});

const FRESH = [
  ['FLUSHALL'], ['SCRIPT', 'FLUSH'], ['FUNCTION', 'FLUSH'], ['SLOWLOG', 'RESET'], ['LATENCY', 'RESET'],
] as const; // prettier-ignore

async function freshen(kind: Kind): Promise<void> {
  for (const node of [...caches[kind].nodes, plain]) {
    for (const command of FRESH) await node.admin.raw(...command);
  }
}

/** Sends `bytes` in pieces of random sizes. */
function writeInPieces(wire: RawClient, bytes: Buffer, seed: number): void {
  const random = randomFrom(seed);
  for (let at = 0; at < bytes.length;) {
    const size = random() < 0.5 ? 1 : 1 + Math.floor(random() * 40);
    wire.write(bytes.subarray(at, at + size));
    at += size;
  }
}

const WAYS = ['one at a time', 'pipelined', 'in pieces'] as const;

async function run(
  wire: RawClient,
  cases: readonly Case[],
  way: (typeof WAYS)[number],
): Promise<(Buffer | null)[]> {
  const replies: (Buffer | null)[] = [];
  if (way === 'one at a time') {
    for (const { words } of cases) {
      wire.send(...words);
      replies.push(await wire.reply());
    }
    return replies;
  }
  const bytes = Buffer.concat(cases.map(({ words }) => encodeRequest(words)));
  if (way === 'pipelined') wire.write(bytes);
  else writeInPieces(wire, bytes, cases.length);
  for (let i = 0; i < cases.length; i++) replies.push(await wire.reply());
  return replies;
}

for (const kind of KINDS) {
  for (const resp of [2, 3] as const) {
    describe(`${kind}, RESP${resp}`, () => {
      for (const family of caseFamilies) {
        if (family.only !== undefined && family.only !== kind) continue;
        test(family.name, async () => {
          const cases = casesOf(family);
          for (const way of WAYS) {
            await freshen(kind);
            const [wire, model] = await Promise.all([
              caches[kind].connect(),
              RawClient.connect(plain.port),
            ]);
            await Promise.all([wire.raw('HELLO', resp), model.raw('HELLO', resp)]);
            const [actual, expected] = await Promise.all([
              run(wire, cases, way),
              run(model, cases, way),
            ]);
            wire.close();
            model.close();
            assert.equal(judge(kind, family.name, way, cases, expected, actual), '');
          }
        });
      }
    });
  }
}

function judge(
  kind: Kind,
  familyName: string,
  way: string,
  cases: readonly Case[],
  expected: readonly (Buffer | null)[],
  actual: readonly (Buffer | null)[],
): string {
  const found: string[] = [];
  for (const [i, each] of cases.entries()) {
    const difference = differenceOf(each, expected[i]!, actual[i]!);
    const known = differences.find(
      ({ family, line, cache }) =>
        family === familyName && line === each.line && (cache === 'both' || cache === kind),
    );
    if (known === undefined) {
      if (difference !== null) found.push(`${i}: ${difference}`);
    } else if (difference === null) {
      found.push(`${i}: ${each.line}: no difference any more`);
    } else if (actual[i] === null || !known.proxy.test(actual[i]!.toString('latin1'))) {
      found.push(`${i}: not as documented: ${difference}`);
    }
  }
  return found.length === 0 ? '' : `${way}:\n${found.join('\n')}`;
}
