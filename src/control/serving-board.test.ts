import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LinkedProxy } from './plane-link-server.ts';
import { servingBoard } from './serving-board.ts';

const proxy = (over: Partial<LinkedProxy>): LinkedProxy => ({
  index: 0,
  pid: 1,
  servingVersion: 7,
  failures: {},
  leaving: [],
  ...over,
});

describe('ServingBoard.left', () => {
  const left = (alive: number[], linked: LinkedProxy[]) =>
    servingBoard(
      () => alive,
      () => linked,
      () => 7,
    ).left('main', 0);

  test('only when each live proxy has said so, by the newest topology', async () => {
    assert.equal(await left([0, 1], [proxy({}), proxy({ index: 1 })]), true);
    assert.equal(await left([0, 1], [proxy({}), proxy({ index: 1, leaving: ['main'] })]), false);
    assert.equal(await left([0, 1], [proxy({}), proxy({ index: 1, servingVersion: 6 })]), false);
    assert.equal(await left([0, 1], [proxy({})]), false, 'one that is not linked yet');
  });

  test('another cache and a proxy that has ended hold nothing up; nor does it that there is none', async () => {
    assert.equal(await left([0], [proxy({ leaving: ['other'] })]), true);
    assert.equal(await left([0], [proxy({}), proxy({ index: 1, leaving: ['main'] })]), true);
    assert.equal(await left([], []), true);
  });

  test('waits until it is so', async () => {
    const linked = [proxy({ leaving: ['main'] })];
    const board = servingBoard(
      () => [0],
      () => linked,
      () => 7,
    );
    const waiting = board.left('main', 60_000);
    linked[0] = proxy({});
    assert.equal(await waiting, true);
  });
});
