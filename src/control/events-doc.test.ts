/** docs/operations.md names every kind of event, and none that is not there. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (pattern: string) =>
  globSync(pattern, { cwd: root })
    .filter((path) => !path.endsWith('.test.ts'))
    .map((path) => readFileSync(`${root}/${path}`, 'utf8'));

/** Words in quotes between `event(` and the message; and the planner's, `event: '...'`. */
function kindsOf(source: string): string[] {
  const planned = [...source.matchAll(/\bevent: '([a-z-]+)'/g)].map(([, kind]) => kind!);
  const told = [...source.matchAll(/\bevent\(([^`]{0,200}?)(?:`|\);)/g)].flatMap(([, head]) =>
    [...head!.matchAll(/'([a-z]+(?:-[a-z]+)+)'/g)].map(([, kind]) => kind!),
  );
  return [...planned, ...told];
}

suite('events', () => {
  const kinds = new Set(read('src/control/**/*.ts').flatMap(kindsOf));
  const [table = ''] = /^\| event \|[^]*?\n\n/m.exec(read('docs/operations.md')[0]!) ?? [];
  const listed = new Set([...table.matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)].map(([, kind]) => kind!));

  test('each kind is in the table of docs/operations.md', () => {
    assert.ok(kinds.size > 20);
    assert.deepEqual(
      [...kinds].filter((kind) => !listed.has(kind)),
      [],
    );
  });

  test('the table has none that is not there', () => {
    assert.deepEqual(
      [...listed].filter((kind) => !kinds.has(kind)),
      [],
    );
  });
});
