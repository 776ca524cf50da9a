import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readableLogLine } from './log-line.ts';
import { processTerminal } from './terminal.ts';

const terminal = processTerminal({ NO_COLOR: '1' });
const entry = { level: 40, time: 1_000, pid: 1, msg: 'not reloaded', certFile: '/c.pem' };

test('the cause is told, whether it was written as an error or as its words', () => {
  for (const err of ['no start line', { message: 'no start line', code: 'E', stack: '...' }]) {
    assert.equal(
      readableLogLine(JSON.stringify({ ...entry, err }), terminal),
      '00:00:01.000 WARN  not reloaded certFile=/c.pem error=no start line',
    );
  }
});

test('a line that is not of this log stays as it is', () => {
  for (const line of ['TypeError: x', '{"a":1}', '{half']) {
    assert.equal(readableLogLine(line, terminal), line);
  }
});
