import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AsideLinks } from './aside-links.ts';
import type { NodeLink } from './node-link.ts';

/** Links that answer when they are told to. */
function openLinks() {
  const links: { under: number; most: number; closed: boolean }[] = [];
  const answers: (() => void)[] = [];
  const open = () => {
    const link = { under: 0, most: 0, closed: false };
    links.push(link);
    const callWith = async () => {
      link.most = Math.max(link.most, ++link.under);
      await new Promise<void>((resolve) => answers.push(resolve));
      link.under--;
    };
    const close = () => (link.closed = true);
    return Promise.resolve({ admin: { callWith }, close } as unknown as NodeLink);
  };
  return { links, open, answer: () => answers.splice(0).forEach((answer) => answer()) };
}

const { signal } = new AbortController();

test('what is held up holds up nothing else, on so many connections and no more', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { links, open, answer } = openLinks();
  const asides = new AsideLinks(open);
  const call = () => asides.call(['CLUSTER', 'SETSLOT'], 1_000, signal);
  const calls = Array.from({ length: 80 }, call);
  await new Promise(setImmediate);
  assert.equal(links.length, 32);
  assert.deepEqual([...new Set(links.map(({ most }) => most))].sort(), [2, 3]);
  answer();
  await Promise.all(calls);
  // One after another need one.
  const before = links.map(({ most }) => most);
  for (let i = 0; i < 3; i++) {
    const done = call();
    await new Promise(setImmediate);
    answer();
    await done;
  }
  assert.deepEqual([links.length, links.map(({ most }) => most)], [32, before]);
  t.mock.timers.tick(5_000);
  await new Promise(setImmediate);
  assert.ok(links.every(({ closed }) => closed));
});
