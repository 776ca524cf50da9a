import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pino } from 'pino';
import { PeerLink } from './peer-link.ts';

const dir = mkdtempSync(join(tmpdir(), 'springtide-peers-'));
const log = pino({ level: 'silent' });
const links: PeerLink[] = [];
after(() => {
  for (const link of links) link.close();
  rmSync(dir, { recursive: true });
});

function socketPath(group: string): (index: number) => string {
  return (index) => join(dir, `${group}-${index}.sock`);
}

function link(
  group: string,
  index: number,
  proxies: number,
  answer: PeerAnswer = () => index,
): PeerLink {
  const made = new PeerLink({ index, proxies, socketPath: socketPath(group), answer, log });
  links.push(made);
  return made;
}
type PeerAnswer = (op: string, cache: string, body: unknown) => unknown;

test('each asks all others and gets what they answer', async () => {
  const echo: PeerAnswer = (op, cache, body) => [op, cache, body];
  const [first] = [link('echo', 0, 3), link('echo', 1, 3, echo), link('echo', 2, 3, echo)];
  const body = { names: ['a\n', '\u00ff'] };
  assert.deepEqual(await first!.ask('op', 'cache', body), [
    ['op', 'cache', body],
    ['op', 'cache', body],
  ]);
});

test('many questions at once find their own answers', async () => {
  const [first] = [link('many', 0, 2), link('many', 1, 2, (_op, _cache, body) => body)];
  const numbers = Array.from({ length: 500 }, (_, i) => i);
  const answers = await Promise.all(numbers.map((number) => first!.ask('op', 'cache', number)));
  assert.deepEqual(answers.flat(), numbers);
});

test('a peer that is not there, throws, or says nothing is left out', async () => {
  const mute = createServer(() => {}).listen(socketPath('gaps')(3));
  await once(mute, 'listening');
  const [first] = [
    link('gaps', 0, 5),
    link('gaps', 1, 5, () => {
      throw new Error('no such cache');
    }),
    link('gaps', 2, 5),
  ];
  assert.deepEqual(await first!.ask('op', 'cache', null), [2]);
  // And is asked again when it has come.
  link('gaps', 4, 5);
  assert.deepEqual(await first!.ask('op', 'cache', null), [2, 4]);
  mute.close();
});

test('a socket that a killed predecessor has left is taken over', async () => {
  writeFileSync(socketPath('stale')(1), '');
  const [first] = [link('stale', 0, 2), link('stale', 1, 2)];
  assert.deepEqual(await first!.ask('op', 'cache', null), [1]);
});

test('what is not a question closes the connection that sent it, and no other', async () => {
  const [first] = [link('noise', 0, 2), link('noise', 1, 2)];
  assert.deepEqual(await first!.ask('op', 'cache', null), [1]);
  const stranger = connect({ path: socketPath('noise')(1) });
  stranger.on('error', () => {});
  stranger.write('{"id":\n');
  await once(stranger, 'close');
  assert.deepEqual(await first!.ask('op', 'cache', null), [1]);
});
