import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { insertCache } from './fixtures/stored-cache.ts';
import { JobBoard, jobLane } from './job-board.ts';
import { Journal } from './journal.ts';
import type { PlannedStep } from './step.ts';
import type { StepContext } from './step-context.ts';
import { Store } from './store.ts';

const log = pino({ level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'springtide-jobs-'));
after(() => rmSync(dir, { recursive: true }));

const limit = (shard: number): PlannedStep => ({
  step: { kind: 'set-shard', shard, maxmemoryBytes: 1 },
  reason: 'a test wants it',
});

const removal = (shard: number): PlannedStep => ({
  step: { kind: 'remove-node', nodeId: `n${shard}-0`, why: 'a test wants it' },
  reason: 'a test wants it',
});

let files = 0;

/** A board whose steps run until they are let go, or fail. */
function boardFor(path = join(dir, `${files++}.sqlite`)) {
  const store = new Store(path);
  const cache =
    store.cache('c1') ?? insertCache(store, 'main', 'c1', 100, { shards: 3, replicas: 0 });
  const calls: { nodeId: string; done: PromiseWithResolvers<void> }[] = [];
  const fleet = {
    isAlive: () => true,
    call: (nodeId: string) => {
      const done = Promise.withResolvers<void>();
      calls.push({ nodeId, done });
      return done.promise;
    },
  } as unknown as StepContext['fleet'];
  let ended = 0;
  const board = new JobBoard({
    store,
    journal: new Journal(store.events, log),
    context: (record, signal) => ({ cache: record, store, fleet, log, signal }) as StepContext,
    onEnd: () => void ended++,
  });
  return { board, cache, store, calls, path, ended: () => ended };
}

suite('JobBoard', () => {
  test('runs jobs side by side, but never two on one shard', async () => {
    const { board, cache, calls, store, ended } = boardFor();
    for (const shard of [0, 1, 0]) board.start(cache, removal(shard));
    // Settings wait for nobody, but for themselves.
    for (const shard of [0, 0, 1]) board.start(cache, limit(shard));
    assert.deepEqual(
      calls.map(({ nodeId }) => nodeId),
      ['n0-0', 'n1-0', 'n0-0', 'n1-0'],
    );
    assert.deepEqual(
      board.running('c1').flatMap(({ occupied }) => occupied),
      [0, 1],
    );
    for (const [i, { done }] of calls.entries()) {
      if (i < 2) done.reject(new Error('not yet'));
      else done.resolve();
    }
    await delay(5);
    assert.deepEqual(board.running('c1'), []);
    assert.equal(ended(), 4);
    assert.deepEqual(
      store.steps.latest('c1', jobLane('c1'), 9).map(({ state }) => state),
      ['done', 'done', 'failed', 'failed'],
    );
    store.close();
  });

  test('a shard whose job failed rests, longer each time, and an event says why', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { board, cache, calls, store } = boardFor();
    let restedMs = 0;
    for (const round of [1, 2]) {
      board.start(cache, removal(1));
      calls.at(-1)!.done.reject(new Error('no room'));
      await delay(5);
      const nowMs = Date.now();
      assert.deepEqual(board.resting('c1', nowMs), [1]);
      const rests = (ms: number) => board.resting('c1', nowMs + ms).length > 0;
      let ms = 0;
      while (rests(ms)) ms += 100;
      assert.ok(ms > restedMs, `round ${round}`);
      restedMs = ms;
      const before = calls.length;
      board.start(cache, removal(1));
      assert.equal(calls.length, before, 'it is left alone');
      t.mock.timers.tick(ms);
    }
    const [event] = store.events.latest('main', 1);
    assert.equal(event!.kind, 'step-failed');
    assert.match(event!.message, /remove-node n1-0 did not succeed \(no room\)/);
    store.close();
  });

  test('what a killed daemon left open is begun again; what a daemon ends itself, too', async () => {
    const first = boardFor();
    first.board.start(first.cache, limit(2));
    // Killed: nobody closes the record.
    first.store.close();
    const second = boardFor(first.path);
    second.board.takeUp(second.cache);
    assert.deepEqual(
      second.calls.map(({ nodeId }) => nodeId),
      ['n2-0'],
    );
    const stopped = second.board.stop();
    second.calls[0]!.done.reject(new Error('aborted'));
    await stopped;
    second.store.close();
    const third = boardFor(first.path);
    third.board.takeUp(third.cache);
    assert.equal(third.calls.length, 1);
    third.calls[0]!.done.resolve();
    await delay(5);
    assert.deepEqual(third.store.steps.open('c1', jobLane('c1')), []);
    third.board.abandon(third.cache);
    third.store.close();
  });
});
