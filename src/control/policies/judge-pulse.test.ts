import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { NodeActivity } from '../../engine/host.ts';
import { ANSWERS, HUNG_AFTER_MS, judgePulse, type Pulse } from './judge-pulse.ts';

const TICK_MS = 250;

const activity = (over: Partial<NodeActivity> = {}): NodeActivity => ({
  nodeId: 'a',
  pid: 7,
  state: 'sleeping',
  cpuMs: 100,
  switches: 10,
  ...over,
});

/** The pulse after `ticks` samples without an answer. */
function silent(
  ticks: number,
  at: (tick: number) => NodeActivity | null,
  elapsedMs = TICK_MS,
): Pulse {
  let pulse = ANSWERS;
  for (let tick = 0; tick < ticks; tick++) {
    pulse = judgePulse(pulse, { elapsedMs, answered: false, activity: at(tick) });
  }
  return pulse;
}

const LONG = 40;
const DUE = Math.ceil(HUNG_AFTER_MS / TICK_MS);

suite('judgePulse', () => {
  for (const state of ['stopped', 'blocked', 'sleeping'] as const) {
    test(`a silent process that is ${state} and does not run hangs, no sooner than it is due`, () => {
      assert.equal(silent(DUE - 1, () => activity({ state })).state, 'waiting');
      assert.equal(silent(DUE, () => activity({ state })).state, 'hung');
    });
  }

  test('one that uses the CPU is busy for as long as it does', () => {
    const running = (tick: number) => activity({ state: 'running', cpuMs: tick * TICK_MS });
    assert.equal(silent(LONG, running).state, 'busy');
    // Seen asleep each time by chance, or waiting for a disk in between.
    const blocked = (tick: number) => activity({ state: 'blocked', switches: tick });
    assert.equal(silent(LONG, blocked).state, 'busy');
  });

  test('one that waits for a CPU which it does not get is busy', () => {
    assert.equal(silent(LONG, () => activity({ state: 'running' })).state, 'busy');
  });

  test('one that worked for long and is then stopped hangs a second after that', () => {
    const at = (tick: number) =>
      tick < 20 ? activity({ state: 'running', cpuMs: tick }) : activity({ state: 'stopped' });
    assert.equal(silent(22, at).state, 'busy');
    assert.equal(silent(26, at).state, 'hung');
  });

  test('without its host there is no verdict but silence', () => {
    assert.equal(silent(LONG, () => null).state, 'busy');
  });

  test('time in which we did not run ourselves proves nothing', () => {
    assert.equal(silent(LONG, () => activity({ state: 'stopped' }), 0).state, 'waiting');
  });

  test('an answer ends it', () => {
    const hung = silent(DUE, () => activity({ state: 'stopped' }));
    const answered = { elapsedMs: 0, answered: true, activity: null };
    assert.deepEqual(judgePulse(hung, answered), ANSWERS);
  });
});
