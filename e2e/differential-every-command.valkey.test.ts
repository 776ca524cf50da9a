/**
 * Of every command that the engine has: that the differential cases know it, that too few arguments are refused in the same
 * words, and that what a cache refuses it refuses as the engine refuses it to a user without permission.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CommandTable, type Command } from '../src/protocol/command-table.ts';
import { REFUSED_COMMANDS } from '../src/proxy/command-plan.ts';
import { casesOf } from './differential/case-family.ts';
import { provenElsewhere } from './differential/coverage.ts';
import { caseFamilies } from './differential/case-families.ts';
import { differences } from './differential/differences.ts';
import { ServedCache } from './harness/served-cache.ts';
import { RawClient } from './harness/raw-client.ts';

let sharded: ServedCache;
let unsharded: ServedCache;
let plainPort: number;
let table: CommandTable;
/** Containers are replaced by their subcommands. */
let commands: Command[];

before(async () => {
  [sharded, unsharded] = await Promise.all([
    ServedCache.start({ sharding: true, shards: 2 }),
    ServedCache.start({ sharding: false }),
  ]);
  const plain = await unsharded.farm.startPlain();
  plainPort = plain.port;
  table = new CommandTable(await plain.admin.call('COMMAND'));
  commands = table.commands.flatMap((each) =>
    each.subcommands === null ? [each] : [...each.subcommands.values()],
  );
});
after(async () => {
  await Promise.all([sharded?.stop(), unsharded?.stop()]);
});

test('no command of the engine is without a case, a proof elsewhere, or a refusal', () => {
  const known = new Set([...Object.keys(provenElsewhere), ...Object.keys(REFUSED_COMMANDS)]);
  for (const { words } of caseFamilies.flatMap((family) => casesOf(family))) {
    const [name, sub] = words.map((word) => word.toString('latin1').toLowerCase());
    known.add(name!);
    known.add(`${name}|${sub}`);
  }
  const unknown = commands.map(({ name }) => name).filter((name) => !known.has(name));
  assert.deepEqual(unknown, []);
  const gone = [...Object.keys(provenElsewhere), ...Object.keys(REFUSED_COMMANDS)].filter(
    (name) => table.byName(name) === undefined,
  );
  assert.deepEqual(gone, [], 'nothing is listed that the engine does not have');
});

test('every documented difference belongs to a case', () => {
  const known = new Set(
    caseFamilies.flatMap((family) => casesOf(family).map(({ line }) => `${family.name}: ${line}`)),
  );
  assert.deepEqual(
    differences.filter(({ family, line }) => !known.has(`${family}: ${line}`)),
    [],
  );
});

test('a wrong number of arguments is refused in the words of the engine, whatever the command', async () => {
  const wires = await Promise.all(
    [sharded.port, unsharded.port, plainPort].map((port) => RawClient.connect(port)),
  );
  const found: string[] = [];
  for (const command of commands) {
    const words = command.name.split('|');
    const argc = command.arity >= 0 ? command.arity + 1 : -command.arity - 1;
    if (argc < words.length || (argc === words.length && words.length > 1)) continue;
    while (words.length < argc) words.push('x');
    const [inSharded, inUnsharded, expected] = await Promise.all(
      wires.map(async (wire) => (await wire.raw(...words)).toString()),
    );
    assert.match(
      expected!,
      /^-(ERR|EXECABORT Transaction discarded because of:) wrong number of arguments/,
      words.join(' '),
    );
    if (inSharded !== expected || inUnsharded !== expected) {
      found.push(`${words.join(' ')}: ${expected} sharded ${inSharded} unsharded ${inUnsharded}`);
    }
  }
  for (const wire of wires) wire.close();
  assert.deepEqual(found, []);
});

test('what would break the service is refused as to a user without permission', async () => {
  for (const cache of [sharded, unsharded]) {
    const wire = await cache.connect();
    for (const name of Object.keys(REFUSED_COMMANDS)) {
      const words = name.split('|');
      const { arity } = table.byName(name)!;
      while (words.length < Math.abs(arity)) words.push('x');
      assert.equal(
        (await wire.raw(...words)).toString(),
        `-NOPERM User default has no permissions to run the '${name}' command\r\n`,
      );
    }
    wire.close();
    assert.ok(cache.proxyAlive);
  }
});
