import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DEFAULT_ENGINE_LINE,
  ENGINE_LINES,
  engineLineOf,
  parseServerVersion,
} from './engine-line.ts';

test('versions as users write them find their line', () => {
  for (const text of ['9.1', '9.1.2', 'v9.1.0', 'valkey-9.1', 'Valkey 9.1.2', ' 9.1 ']) {
    assert.equal(engineLineOf(text).line, '9.1', text);
  }
  assert.equal(engineLineOf('8.0.1').suite, 'bookworm-backports');
  assert.equal(ENGINE_LINES[0]?.line, DEFAULT_ENGINE_LINE);
});

test('what is not supported is refused with the list of what is', () => {
  for (const text of ['7.2', '9', '9.10', '9.1.x', '', 'redis-8.0', '18.1']) {
    assert.throws(
      () => engineLineOf(text),
      { code: 'ENGINE_VERSION_UNSUPPORTED', message: /9\.1, 8\.1, 8\.0/ },
      text,
    );
  }
});

test('the version is read from what the server prints, and from Valkey only', () => {
  assert.equal(
    parseServerVersion(
      'Valkey server v=9.1.2 sha=00000000:0 malloc=jemalloc-5.3.1 bits=64 build=9108e8f1788612b\n',
    ),
    '9.1.2',
  );
  assert.equal(parseServerVersion('warning: x\nValkey server v=8.0.1 sha=0\n'), '8.0.1');
  assert.equal(
    parseServerVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64'),
    undefined,
  );
  assert.equal(parseServerVersion(''), undefined);
});
