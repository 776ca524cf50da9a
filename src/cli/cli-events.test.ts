/** What is told as it happens: events, and status as it changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCli } from './test-cli.ts';

test('events: of a cache that never was, there are none, and that is said', async (t) => {
  const { cli } = await startCli(t);
  const { exitCode, out, err } = await cli('events nobody');
  assert.deepEqual([exitCode, out, err], [0, '', 'There are no events of a cache nobody.\n']);
});

test('events: all or of one cache, for people and for programs', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.events.push(
    { id: 1, atMs: 1e12, cache: 'main', kind: 'node-lost', message: 'node a ended' },
    { id: 2, atMs: 1e12, cache: null, kind: 'proxy-restarted', message: 'proxy 0 is gone' },
    { id: 5, atMs: 1e12, cache: 'main', kind: 'failover', message: 'node b took over' },
  );
  const all = await cli('events');
  assert.equal(all.exitCode, 0);
  assert.deepEqual(
    all.out
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(21)),
    [
      'main: node-lost  node a ended',
      'proxy-restarted  proxy 0 is gone',
      'main: failover  node b took over',
    ],
  );
  const one = await cli('events main --lines 1 --json');
  assert.deepEqual(JSON.parse(one.out), fake.events.slice(2));
});

test('events --follow goes on with what happens, each event once', async (t) => {
  const { fake, cli } = await startCli(t);
  const event = { atMs: 1e12, cache: 'main', kind: 'failover', message: 'x' };
  fake.events.push({ ...event, id: 1 });
  const timer = setInterval(() => {
    if (fake.requests.length > 0) fake.events.push({ ...event, id: fake.events.length + 1 });
  }, 200);
  t.after(() => clearInterval(timer));
  const { out } = await cli('events main --follow --json', {
    onOutput: (text, kill) => {
      if (text.split('\n').length > 4) kill('SIGTERM');
    },
  });
  const ids = out
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: number }).id);
  assert.deepEqual(
    ids,
    ids.map((_, index) => index + 1),
  );
  assert.ok(ids.length >= 4);
});

test('status --watch off a terminal prints plain lines until it is stopped', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.addCache({ name: 'main' });
  const { out } = await cli('status --watch --interval 100ms', {
    onOutput: (text, kill) => {
      if (text.split('\n').length === 3 && fake.events.length === 0) {
        fake.addCache({ name: 'second' });
        fake.events.push({
          id: 1,
          atMs: 1e12,
          cache: 'second',
          kind: 'cache-created',
          message: 'Cache second is created.',
        });
      }
      if (text.includes('event') && text.includes(' second ')) kill('SIGTERM');
    },
  });
  assert.match(
    out,
    /^\d\d:\d\d:\d\d main available requests\/s=12\.3k clients=50 nodes=3\/3 memory=30MB$/m,
  );
  assert.match(out, /event cache-created Cache second is created\./);
  assert.ok(!out.includes('\u001b'));
});
