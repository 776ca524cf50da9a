/** The command table that a proxy makes of a node's COMMAND: the same keys as the engine finds itself, for every case. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CommandTable, type Command } from '../src/protocol/command-table.ts';
import { encodeRequest } from '../src/protocol/request-encoder.ts';
import { RequestScanner, SCAN_REQUEST } from '../src/protocol/request-scanner.ts';
import { RespError } from '../src/protocol/resp-value.ts';
import { casesOf } from './differential/case-family.ts';
import { caseFamilies } from './differential/case-families.ts';
import { NodeFarm, type TestNode } from './harness/node-farm.ts';
import type { Argument } from './harness/raw-client.ts';

const root = mkdtempSync(join(tmpdir(), 'springtide-table-'));
const farm = new NodeFarm(root);
let node: TestNode;
let table: CommandTable;

before(async () => {
  node = await farm.startPlain();
  table = new CommandTable(await node.admin.call('COMMAND'));
});
after(async () => {
  await farm.stopAll();
  rmSync(root, { recursive: true });
});

/** What the table makes of a request: its command, its keys, its first key. */
function read(words: readonly Argument[]): {
  command: Command | null;
  keys: string[];
  first: string | null;
} {
  const bytes = encodeRequest(words);
  const scanner = new RequestScanner();
  scanner.begin(0);
  assert.equal(scanner.scan(bytes, bytes.length), SCAN_REQUEST);
  const command = table.lookup(bytes, scanner);
  const text = (at: number) => bytes.toString('latin1', scanner.argStart[at], scanner.argEnd[at]);
  const first = command?.firstKeyOf(bytes, scanner) ?? 0;
  return {
    command,
    keys: (command?.keysOf(bytes, scanner) ?? []).map(text),
    first: first === 0 ? null : text(first),
  };
}

/** Their key specifications are incomplete, as the engine itself says; the first key is what they are routed by. */
const INCOMPLETE = new Set(['sort', 'georadius', 'georadiusbymember']);

/** What they name is routed as a key is, and is none: a shard channel, a cursor. */
const ROUTED_ONLY = new Set(['spublish', 'ssubscribe', 'sunsubscribe', 'clusterscan']);

test('keys are where the engine finds them', async () => {
  let compared = 0;
  for (const { words, line } of caseFamilies.flatMap((family) => casesOf(family))) {
    const { command, keys, first } = read(words);
    if (command !== null && ROUTED_ONLY.has(command.name)) continue;
    const reply = await node.admin.call('COMMAND', 'GETKEYS', ...words);
    if (reply instanceof RespError) {
      // Without keys, or not a request that it would execute.
      if (reply.message.includes('no key arguments')) assert.deepEqual(keys, [], line);
      continue;
    }
    const expected = (reply as Buffer[]).map((key) => key.toString('latin1'));
    assert.equal(first, expected[0] ?? null, line);
    if (!INCOMPLETE.has(command!.name)) assert.deepEqual(keys, expected, line);
    compared++;
  }
  assert.ok(compared > 500, `${compared} compared`);
});

test('commands are found in any case, and nothing else is', () => {
  for (const { name } of table.commands) {
    for (const spelled of [name, name.toUpperCase(), name[0]!.toUpperCase() + name.slice(1)]) {
      assert.equal(read([spelled]).command?.name, name);
    }
    for (const wrong of [`${name}x`, `x${name}`, name.slice(0, -1), '']) {
      const found = read([wrong]).command;
      assert.equal(found?.name ?? null, table.byName(wrong)?.name ?? null, wrong);
    }
  }
  assert.equal(read(['config', 'GET', 'x']).command?.name, 'config|get');
  assert.equal(read(['CONFIG', 'nonsense']).command?.name, 'config');
  assert.equal(read(['CONFIG']).command?.name, 'config');
});

test('arities and flags are the ones of COMMAND INFO', () => {
  const get = table.byName('get')!;
  assert.deepEqual([get.arity, get.fits(2), get.fits(1), get.fits(3)], [2, true, false, false]);
  const mset = table.byName('mset')!;
  assert.deepEqual(
    [mset.arity, mset.fits(2), mset.fits(3), mset.fits(100)],
    [-3, false, true, true],
  );
  assert.deepEqual([mset.requestPolicy, mset.responsePolicy], ['multi_shard', 'all_succeeded']);
  assert.ok(table.byName('blpop')!.flagNames.includes('blocking'));
  assert.ok(table.byName('client|list')!.flagNames.includes('admin'));
});
