import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  clusterBusPort,
  quoteConfigWord,
  renderNodeConfig,
  replBacklogBytes,
  type NodeSettings,
} from './node-config.ts';

const SETTINGS: NodeSettings = { nodeId: 'n1', port: 7000, dir: '/d/n1', clusterEnabled: true };

/** sdssplitargs of Valkey's sds.c, for the forms that we write. */
function splitArgs(line: string): string[] {
  const words: string[] = [];
  let at = 0;
  while (at < line.length) {
    if (line[at] === ' ') {
      at++;
      continue;
    }
    const bytes: number[] = [];
    if (line[at] === '"') {
      for (at++; line[at] !== '"'; at++) {
        const hex = /^\\x([0-9a-f]{2})/.exec(line.slice(at));
        if (hex !== null) {
          bytes.push(Number.parseInt(hex[1]!, 16));
          at += 3;
        } else {
          if (line[at] === '\\') at++;
          bytes.push(line.charCodeAt(at));
        }
      }
      at++;
      assert.ok(at === line.length || line[at] === ' ', 'a closing quote ends the word');
    } else {
      for (; at < line.length && line[at] !== ' '; at++) bytes.push(line.charCodeAt(at));
    }
    words.push(Buffer.from(bytes).toString());
  }
  return words;
}

function render(
  settings: NodeSettings,
  line: '9.1' | '8.1' | '8.0' = '9.1',
): Map<string, string[]> {
  const directives = new Map<string, string[]>();
  for (const text of renderNodeConfig(settings, line).trimEnd().split('\n')) {
    const [name, ...words] = splitArgs(text);
    directives.set(name!, words);
  }
  return directives;
}

test('any word survives quoting, in one line', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (words) => {
      const line = words.map(quoteConfigWord).join(' ');
      assert.doesNotMatch(line, /[\n\r]/);
      assert.deepEqual(
        splitArgs(line),
        words.map((word) => Buffer.from(word).toString()),
      );
    }),
  );
});

test('plain words stay readable', () => {
  assert.equal(quoteConfigWord('/var/lib/x-1.conf'), '/var/lib/x-1.conf');
  assert.equal(quoteConfigWord(''), '""');
  assert.equal(quoteConfigWord('#no comment'), '"#no comment"');
});

test('a clustered node of 9.1', () => {
  const config = render({
    ...SETTINGS,
    clusterNodeTimeoutMs: 1500,
    ioThreads: 2,
    maxmemoryBytes: 1 << 30,
  });
  assert.deepEqual(config.get('port'), ['7000']);
  assert.deepEqual(config.get('bind'), ['127.0.0.1']);
  assert.deepEqual(config.get('cluster-enabled'), ['yes']);
  assert.deepEqual(config.get('cluster-port'), ['17000']);
  assert.deepEqual(config.get('cluster-node-timeout'), ['1500']);
  assert.deepEqual(config.get('cluster-databases'), ['16']);
  assert.deepEqual(config.get('io-threads'), ['2']);
  assert.deepEqual(config.get('maxmemory'), ['1073741824']);
  assert.deepEqual(config.get('maxmemory-policy'), ['volatile-lru']);
  assert.deepEqual(config.get('save'), ['']);
  assert.deepEqual(config.get('appendonly'), ['no']);
  assert.deepEqual(config.get('set-proc-title'), ['no']);
  assert.ok(!config.has('databases'));
  assert.deepEqual(render(SETTINGS, '8.1').get('databases'), ['1']);
  assert.ok(!config.has('primaryauth'));
});

test('older lines get no directive that they would refuse to start with', () => {
  const settings = { ...SETTINGS, hashSeed: 'seed' };
  for (const name of ['cluster-databases', 'hash-seed', 'cluster-config-save-behavior']) {
    assert.ok(render(settings, '9.1').has(name), name);
    assert.ok(!render(settings, '8.1').has(name), name);
    assert.ok(!render(settings, '8.0').has(name), name);
  }
});

test('a plain node has databases and nothing of the cluster', () => {
  const config = render({ ...SETTINGS, clusterEnabled: false, databases: 4 });
  assert.deepEqual(config.get('databases'), ['4']);
  assert.deepEqual(
    [...config.keys()].filter((name) => name.startsWith('cluster-')),
    [],
  );
  assert.equal(clusterBusPort({ ...SETTINGS, clusterEnabled: false }), undefined);
});

test('secrets and extra directives: the last word is the extra one', () => {
  const text = renderNodeConfig(
    {
      ...SETTINGS,
      primaryUser: 'repl',
      primaryPassword: 'a "b"\nport 1',
      extra: { hz: '20', save: ['60', '1'] },
    },
    '9.1',
  );
  assert.match(text, /^primaryuser repl$/m);
  assert.match(text, /^primaryauth "a \\"b\\"\\x0aport 1"$/m);
  assert.ok(text.endsWith('\nhz 20\nsave 60 1\n'));
});

test('the backlog grows with the node, within bounds', () => {
  const mib = 1 << 20;
  assert.equal(replBacklogBytes(0), 64 * mib);
  assert.equal(replBacklogBytes(16 * mib), 4 * mib);
  assert.equal(replBacklogBytes(64 * mib), 16 * mib);
  assert.equal(replBacklogBytes(128 * mib), 16 * mib);
  assert.equal(replBacklogBytes(1024 * mib), 64 * mib);
  assert.equal(replBacklogBytes(1024 * 1024 * mib), 256 * mib);
});

test('settings that no engine starts with are refused', () => {
  const bad: Partial<NodeSettings>[] = [
    { nodeId: '../x' },
    { nodeId: '' },
    { dir: 'relative' },
    { port: 0 },
    { port: 70_000 },
    { port: 60_000 },
    { clusterBusPort: 1.5 },
  ];
  for (const change of bad) {
    assert.throws(
      () => renderNodeConfig({ ...SETTINGS, ...change }, '9.1'),
      RangeError,
      JSON.stringify(change),
    );
  }
  assert.doesNotThrow(() =>
    renderNodeConfig({ ...SETTINGS, port: 60_000, clusterBusPort: 61_000 }, '9.1'),
  );
});
