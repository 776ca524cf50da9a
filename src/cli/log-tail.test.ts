import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LogTail } from './log-tail.ts';

function logFile(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-log-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, 'x.log');
}

test('the last lines of a file larger than one block, multibyte characters whole', (t) => {
  const file = logFile(t);
  const lines = Array.from({ length: 20_000 }, (_, index) => `línea ${index}`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  assert.deepEqual(new LogTail(file).last(3), lines.slice(-3));
  assert.deepEqual(new LogTail(file).last(12_000), lines.slice(-12_000));
  assert.deepEqual(new LogTail(file).last(50_000), lines);
  assert.deepEqual(new LogTail(file).last(0), []);
});

test('goes on with complete lines, and from the start after a truncation', (t) => {
  const file = logFile(t);
  const tail = new LogTail(file);
  assert.deepEqual(tail.last(5), []);
  assert.deepEqual(tail.next(), []);
  writeFileSync(file, 'one\ntw');
  assert.deepEqual(tail.next(), ['one']);
  appendFileSync(file, 'o\nthree\n');
  assert.deepEqual(tail.next(), ['two', 'three']);
  writeFileSync(file, 'new\n');
  assert.deepEqual(tail.next(), ['new']);
  assert.deepEqual(tail.next(), []);
});
