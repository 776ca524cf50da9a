/** docs/specification.md against the schema and the command line, and its example against both. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { readSpec, SPEC_BOUNDS } from '../model/read-spec.ts';
import { runCli } from './run-cli.ts';
import { specInput } from './spec-input.ts';

const DOC = fileURLToPath(new URL('../../docs/specification.md', import.meta.url));
const EXAMPLE = join(dirname(DOC), 'cache.example.json');

interface Field {
  readonly type?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Field>>;
}

function fieldsOf(schema: Field, prefix = ''): [string, Field][] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, field]): [string, Field][] =>
    field.properties === undefined
      ? [[`${prefix}${key}`, field]]
      : fieldsOf(field, `${prefix}${key}.`),
  );
}

const rows = new Map(
  readFileSync(DOC, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')))
    .map(([, key, byDefault, least, most, option]) => [key!, { byDefault, least, most, option }]),
);

test('every key of the schema is in the reference, with its default and bounds', () => {
  const fields = fieldsOf(z.toJSONSchema(cacheSpecSchema, { io: 'input' }) as Field);
  assert.deepEqual([...rows.keys()].sort(), fields.map(([key]) => key).sort());
  for (const [key, field] of fields) {
    const row = rows.get(key)!;
    assert.equal(
      row.byDefault,
      field.default === undefined ? '' : JSON.stringify(field.default),
      key,
    );
    if (field.type !== 'integer' || /memory|ecpu/.test(key)) continue;
    assert.equal(row.least, String(field.minimum), key);
    // Others are bounded by a field of their own, or by nothing but what a number can be.
    if (field.maximum! < Number.MAX_SAFE_INTEGER)
      assert.equal(row.most, String(field.maximum), key);
  }
  const bounds = (key: string) => [rows.get(key)!.least, rows.get(key)!.most];
  const { memoryPerShardMinimumBytes: perShard, memoryMaximumBytes } = SPEC_BOUNDS;
  assert.deepEqual(bounds('limits.memoryMaximumBytes'), [
    `${perShard} for each shard`,
    String(memoryMaximumBytes),
  ]);
  for (const which of ['Minimum', 'Maximum'])
    assert.deepEqual(bounds(`limits.ecpuPerSecond${which}`), [
      String(SPEC_BOUNDS.ecpuPerSecondMinimum),
      String(SPEC_BOUNDS.ecpuPerSecondMaximum),
    ]);
  assert.equal(bounds('limits.connectionsMaximum')[1], String(SPEC_BOUNDS.connectionsMaximum));
});

test('the options that it names are those of create, whose help leads to it', async () => {
  const { out } = await runCli(['create', '--help']);
  for (const [key, { option }] of rows)
    if (option !== '' && option !== 'NAME') assert.match(out, new RegExp(`${option}\\b`), key);
  assert.ok(out.includes(DOC));
});

test('the example is a specification, and what is printed of it is one again, whole', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-example-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const example = readSpec(specInput(undefined, { file: EXAMPLE }, '/'));
  assert.ok('spec' in example);
  const printed = await runCli(['create', '--file', EXAMPLE, '--replicas', '2', '--print-spec']);
  assert.equal(printed.exitCode, 0, printed.err);
  assert.deepEqual(JSON.parse(printed.out), { ...example.spec, replicas: 2 });
  const file = join(directory, 'printed.json');
  writeFileSync(file, printed.out);
  const again = await runCli(['create', '--file', file, '--print-spec']);
  assert.equal(again.out, printed.out);
  const refused = await runCli(['create', 'a', '--memory-max', '1b', '--print-spec']);
  assert.equal(refused.exitCode, 2);
  assert.equal(refused.out, '');
});
