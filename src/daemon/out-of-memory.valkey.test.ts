import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import type { CacheEvent } from '../model/admin-api.ts';
import { eventually, primaryOf, replicaOf, TestDaemon } from './fixtures/test-daemon.ts';

const group = makeGroup();

suite(
  'a node that the kernel ends for want of memory',
  { skip: group === null && 'a control group with a limit of memory cannot be made here' },
  () => {
    const daemon = TestDaemon.forSuite();
    after(async () => {
      await eventually('the group being empty', async () => removed(group!.dir));
    });

    test('is told as that, and replaced like any other', async () => {
      await daemon.create({ name: 'main', sharding: false, replicas: 1 });
      const before = await daemon.healthy('main');
      const primary = primaryOf(before, 0);
      const node = await daemon.connect('main', primary);
      group!.take(primary.pid!);
      // More than the group may have: 32 strings of a MiB.
      const filling = Promise.all(
        Array.from({ length: 32 }, (_, i) => node.call('SETRANGE', `large:${i}`, 1024 ** 2, 'x')),
      );
      await assert.rejects(filling);
      await eventually(
        'the takeover',
        async () => primaryOf(await daemon.cache('main'), 0).id === replicaOf(before, 0).id,
      );
      await daemon.healthy('main');
      let events: CacheEvent[] = [];
      await eventually('the repair', async () => {
        events = await daemon.json<CacheEvent[]>('GET', '/v1/events?cache=main');
        return events.some(({ kind }) => kind === 'shard-repaired');
      });
      const lost = events.filter(({ kind }) => kind === 'node-lost');
      assert.equal(lost.length, 1);
      assert.match(lost[0]!.message, /primary of shard 0, ended: killed by the kernel, .*memory/);
    });

    test('one that somebody kills is told as that', async () => {
      const { pid } = primaryOf(await daemon.healthy('main'), 0);
      process.kill(pid!, 'SIGKILL');
      await eventually('the event', async () => {
        const events = await daemon.json<CacheEvent[]>('GET', '/v1/events?cache=main');
        return events.some(({ message }) => message.endsWith('ended: killed by SIGKILL'));
      });
    });
  },
);

interface Group {
  readonly dir: string;
  take(pid: number): void;
}

/** A control group with 24 MiB, of either version; null where none can be made. */
function makeGroup(): Group | null {
  const name = `springtide-test-${process.pid}`;
  for (const [root, limitFile] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const dir = join(root, name);
    try {
      mkdirSync(dir);
      writeFileSync(join(dir, limitFile), String(24 * 1024 ** 2));
      const swap = join(dir, limitFile === 'memory.max' ? 'memory.swap.max' : 'memory.swappiness');
      if (existsSync(swap)) writeFileSync(swap, '0');
      return { dir, take: (pid) => writeFileSync(join(dir, 'cgroup.procs'), String(pid)) };
    } catch {
      if (existsSync(dir)) removed(dir);
    }
  }
  return null;
}

function removed(dir: string): boolean {
  try {
    rmdirSync(dir);
  } catch {
    return false;
  }
  return true;
}
