import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { requireHostsFile } from './hosts-file.ts';

test('a hosts file that cannot be used is refused, with what is wrong in it', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-hosts-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'hosts.json');
  const host = { id: 'a', zone: 'east', address: '127.0.0.11' };
  const check = (text: string) => {
    writeFileSync(path, text);
    requireHostsFile(path);
  };
  check(JSON.stringify([host, { ...host, id: 'b', address: '127.0.0.1' }]));
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => check(text), { code: 'USAGE', message });
  refused('[', /hosts\.json is wrong \(it is no JSON/);
  refused('[]', /there must be one at least/);
  refused(JSON.stringify([{ ...host, zone: undefined }]), /0\.zone/);
  // TEST-NET-3 (RFC 5737): nobody's.
  refused(
    JSON.stringify([{ ...host, address: '203.0.113.9' }]),
    /host a: 203\.0\.113\.9 is no address/,
  );
  refused(JSON.stringify([{ ...host, netns: 'st-none' }]), /no network namespace st-none/);
  assert.throws(() => requireHostsFile(join(directory, 'none.json')), { code: 'USAGE' });
});
