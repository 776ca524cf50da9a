import assert from 'node:assert/strict';
import { test } from 'node:test';
import { globMatch } from './glob-match.ts';

/** Answers of Valkey 9.1.2 (`KEYS` on a server that holds only this key). */
const CASES: readonly [pattern: string, text: string, matches: boolean][] = [
  ['', '', true],
  ['', 'a', false],
  ['*', '', true],
  ['**', 'abc', true],
  ['a*', 'a', true],
  ['a*c', 'abcbc', true],
  ['a*c', 'abcb', false],
  ['*b*b*', 'abab', true],
  ['?', '', false],
  ['a?c', 'abc', true],
  ['[abc]', 'b', true],
  ['[^abc]', 'b', false],
  ['[^abc]', 'd', true],
  ['[a-c]x', 'bx', true],
  ['[c-a]x', 'bx', true],
  ['[a-]', '-', false],
  ['[\\]]', ']', true],
  ['[\\^]', '^', true],
  ['[abc', 'c', true],
  ['[]x', 'x', false],
  ['\\*', '*', true],
  ['\\*', 'a', false],
  ['a\\', 'a\\', true],
  ['h\\?llo', 'h?llo', true],
  ['\\[a]', '[a]', true],
];

for (const [pattern, text, matches] of CASES) {
  test(`${JSON.stringify(pattern)} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(text)}`, () => {
    assert.equal(globMatch(pattern, text), matches);
  });
}

test('a hostile pattern takes no more than pattern times text', () => {
  // Exponential matching would not come back from this.
  assert.equal(globMatch('*a'.repeat(2000) + 'b', 'a'.repeat(4000)), false);
});
