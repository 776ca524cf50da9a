import assert from 'node:assert/strict';
import { it } from 'node:test';
import { resp2Of } from './resp2-of.ts';

it('what is flat is made into RESP2, what nests is not', () => {
  const made: [string, string | null][] = [
    ['_\r\n', '$-1\r\n'],
    ['$3\r\na\r\n\r\n', '$3\r\na\r\n\r\n'],
    [',1.5\r\n', '$3\r\n1.5\r\n'],
    ['%1\r\n$1\r\nf\r\n$1\r\nv\r\n', '*2\r\n$1\r\nf\r\n$1\r\nv\r\n'],
    ['~2\r\n:1\r\n_\r\n', '*2\r\n:1\r\n$-1\r\n'],
    ['*0\r\n', '*0\r\n'],
    ['*1\r\n*2\r\n$1\r\nm\r\n,1\r\n', null],
    ['%1\r\n$1\r\nf\r\n*0\r\n', null],
    // A boolean is a number in RESP2 for some commands and a word for others.
    ['#t\r\n', null],
    ['=5\r\ntxt:a\r\n', '$1\r\na\r\n'],
  ];
  for (const [resp3, resp2] of made)
    assert.equal(resp2Of(Buffer.from(resp3))?.toString() ?? null, resp2, resp3);
});
