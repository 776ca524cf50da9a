import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFailure } from './daemon-process.ts';

test('a daemon that ends at once is told by its own last error', () => {
  const log = [
    '{"level":30,"time":1,"msg":"starting"}',
    '{"level":60,"time":2,"msg":"the daemon could not start","err":{"message":"no space left on device","code":"ENOSPC"}}',
  ].join('\n');
  const failure = startFailure(log, 'exit code 1', '/d/daemon.log');
  assert.equal(failure.message, 'The daemon could not start (no space left on device).');
  assert.equal(failure.code, 'DISK');
  assert.match(failure.hint!, /daemon\.log/);
});

test('another daemon on the same directory is a conflict', () => {
  const log =
    '{"level":60,"msg":"x","err":{"message":"another daemon serves /d","code":"DATA_DIR_IN_USE"}}\n';
  assert.equal(startFailure(log, 'exit code 1', 'f').code, 'CONFLICT');
});

test("node's own words where the daemon said nothing itself, and how it ended where nobody did", () => {
  const crash =
    'file:///d.ts:1\nthrow new TypeError()\n\nTypeError: x is not a function\n    at main (d.ts:1:7)\n';
  assert.equal(
    startFailure(crash, 'exit code 1', 'f').message,
    'The daemon could not start (TypeError: x is not a function).',
  );
  assert.equal(startFailure('', 'SIGKILL', 'f').message, 'The daemon could not start (SIGKILL).');
});
