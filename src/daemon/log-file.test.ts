import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, suite, test } from 'node:test';
import { LogFile } from './log-file.ts';

const dir = mkdtempSync(join(tmpdir(), 'springtide-log-'));
after(() => rmSync(dir, { recursive: true }));

/** A disk with room for `left` bytes. */
class SmallDisk {
  left = 0;
  readonly write = ((fd: number, bytes: Buffer, offset: number) => {
    if (this.left === 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    const length = Math.min(this.left, bytes.length - offset);
    this.left -= length;
    return writeSync(fd, bytes, offset, length);
  }) as typeof writeSync;
}

suite('LogFile', () => {
  test('what a full disk did not take is written whole, in order, once there is room', () => {
    mock.timers.enable({ apis: ['setInterval'] });
    const path = join(dir, 'a.log');
    const disk = new SmallDisk();
    const file = new LogFile(openSync(path, 'a'), disk.write);
    disk.left = 10;
    file.write('first\n');
    file.write('second\n');
    file.write('third\n');
    assert.equal(readFileSync(path, 'utf8'), 'first\nseco');
    mock.timers.tick(1_000);
    assert.equal(readFileSync(path, 'utf8'), 'first\nseco');
    disk.left = 10_000;
    mock.timers.tick(1_000);
    file.write('fourth\n');
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    assert.deepEqual([...lines.slice(0, 3), lines[4]], ['first', 'second', 'third', 'fourth']);
    const said = JSON.parse(lines[3]!) as Record<string, unknown>;
    assert.deepEqual([said['cause'], said['kept'], said['lost']], ['ENOSPC', 2, 0]);
    assert.equal(lines.length, 5);
    mock.timers.reset();
  });

  test('of more than it can keep the oldest lines are lost, and counted', () => {
    mock.timers.enable({ apis: ['setInterval'] });
    const path = join(dir, 'b.log');
    const disk = new SmallDisk();
    const file = new LogFile(openSync(path, 'a'), disk.write);
    for (let i = 0; i < 100; i++) file.write(`${i}${' '.repeat(20_000)}\n`);
    disk.left = 10_000_000;
    mock.timers.tick(1_000);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    const said = JSON.parse(lines.pop()!) as { kept: number; lost: number };
    assert.equal(said.kept + said.lost, 100);
    assert.equal(lines.length, said.kept);
    assert.ok(said.lost > 0 && said.kept > 10);
    assert.equal(lines.at(-1)!.trim(), '99');
    mock.timers.reset();
  });
});
