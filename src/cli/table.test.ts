import assert from 'node:assert/strict';
import { stripVTControlCharacters, styleText } from 'node:util';
import { test } from 'node:test';
import { fitLine, formatFields, formatTable, wrapWords } from './table.ts';

const red = (text: string) => styleText('red', text, { validateStream: false });

test('columns stay aligned where cells are coloured', () => {
  const lines = formatTable(
    [{ title: 'NAME' }, { title: 'N', align: 'right' }, { title: 'STATE' }],
    [
      ['a', '1', red('lost')],
      ['longer', '1000', 'online'],
    ],
  );
  assert.deepEqual(
    lines.map((line) => stripVTControlCharacters(line)),
    ['NAME       N  STATE', 'a          1  lost', 'longer  1000  online'],
  );
});

test('words are wrapped under themselves, colours have no width', () => {
  assert.deepEqual(wrapWords(`  ${red('about')}  one two three`, 14, 2), [
    `  ${red('about')}  one`,
    '    two three',
  ]);
  assert.deepEqual(wrapWords('  averylongwordindeed', 10), ['  averylongwordindeed']);
  assert.deepEqual(wrapWords('short', 10), ['short']);
});

test('fields of several lines go on under themselves', () => {
  assert.deepEqual(formatFields([['A', ['1', '2']], null, ['Long', '3']]), [
    '  A     1',
    '        2',
    '',
    '  Long  3',
  ]);
});

test('a line is cut to the visible width, and its colour still ends', () => {
  assert.equal(fitLine('abcdef', 6), 'abcdef');
  assert.equal(fitLine('abcdef', 4), 'abc…');
  const cut = fitLine(`ab${red('cdef')}`, 4);
  assert.equal(stripVTControlCharacters(cut), 'abc…');
  assert.ok(cut.endsWith('\u001b[39m'));
});
