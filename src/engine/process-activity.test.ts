import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parseActivity, readActivity } from './process-activity.ts';
import { readProcess } from './process-identity.ts';

const STAT = (state: string) =>
  `42 (a (b) c) ${state} 1 42 42 0 -1 4194304 104 0 0 0 7 5 0 0 20 0 1 0 2206843 3133440`;
const STATUS = 'Name:\tx\nvoluntary_ctxt_switches:\t20\nnonvoluntary_ctxt_switches:\t3\n';

suite('process activity', () => {
  test('is read from what /proc says', () => {
    const sleeping = { pid: 42, state: 'sleeping', cpuMs: 120, switches: 23 };
    assert.deepEqual(parseActivity(42, STAT('S'), STATUS), sleeping);
    const states = ['R', 'D', 'T', 't', 'I'].map((s) => parseActivity(42, STAT(s), STATUS)?.state);
    assert.deepEqual(states, ['running', 'blocked', 'stopped', 'stopped', 'sleeping']);
    assert.equal(parseActivity(42, STAT('Z'), STATUS), undefined);
  });

  test('of a real process: it works, it is stopped, it is gone', async (t) => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 5)'], { stdio: 'ignore' });
    t.after(() => child.kill('SIGKILL'));
    await once(child, 'spawn');
    const identity = readProcess(child.pid!)!;
    const first = readActivity(identity)!;
    for (;;) {
      const later = readActivity(identity)!;
      if (later.switches > first.switches && later.cpuMs > first.cpuMs) break;
      await delay(10);
    }
    child.kill('SIGSTOP');
    while (readActivity(identity)!.state !== 'stopped') await delay(5);
    const stopped = readActivity(identity);
    await delay(100);
    assert.deepEqual(readActivity(identity), stopped);
    assert.equal(readActivity({ ...identity, startTicks: identity.startTicks + 1 }), undefined);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(readActivity(identity), undefined);
  });
});
