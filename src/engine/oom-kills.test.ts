import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { OomKills, parseOomKills } from './oom-kills.ts';

suite('OomKills', () => {
  test('reads the count of /proc/vmstat', () => {
    assert.equal(parseOomKills('numa_hit 5\noom_kill 12\nballoon_inflate 0\n'), 12);
    assert.equal(parseOomKills('numa_hit 5\n'), 0);
  });

  test('a kill explains one end, of about that time', (t) => {
    let count = 3;
    const kills = new OomKills(() => count);
    t.after(() => kills.stop());
    assert.equal(kills.take(), false);
    count = 4;
    assert.equal(kills.take(), true);
    assert.equal(kills.take(), false);
    // Read in between, and not too late for it.
    count = 6;
    kills.read();
    assert.deepEqual([kills.take(), kills.take(), kills.take()], [true, true, false]);
    // Of somebody else, a while ago.
    count = 7;
    kills.read();
    kills.read();
    assert.equal(kills.take(), false);
  });
});
