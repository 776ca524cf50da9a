import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { ClientMemory, SMALL_BYTES, type MemoryHolder } from './client-memory.ts';

const MAXIMUM_BYTES = 10 * SMALL_BYTES;

class Holder implements MemoryHolder {
  memoryBytes = 0;
  memorySpared = false;
  memoryCounted = false;
  cut = false;

  cutForMemory(): void {
    this.cut = true;
  }
}

/** A time in which nothing happens. In steps: a mocked timer that a timer sets begins at the end of the step. */
function rest(t: TestContext): void {
  for (let i = 0; i < 100; i++) t.mock.timers.tick(100);
}

function holding(memory: ClientMemory, bytes: number): Holder {
  const holder = new Holder();
  holder.memoryBytes = bytes;
  memory.note(holder);
  return holder;
}

describe('ClientMemory', () => {
  it('counts what is held now, and nothing for a holder that is gone or small', () => {
    const memory = new ClientMemory(MAXIMUM_BYTES);
    const holder = holding(memory, 3 * SMALL_BYTES);
    const other = holding(memory, 4 * SMALL_BYTES);
    assert.equal(memory.sumBytes, 7 * SMALL_BYTES);
    holder.memoryBytes = 2 * SMALL_BYTES;
    memory.note(holder);
    assert.equal(memory.sumBytes, 6 * SMALL_BYTES);
    holder.memoryBytes = SMALL_BYTES;
    memory.note(holder);
    assert.equal(holder.memoryCounted, false);
    assert.equal(memory.sumBytes, 4 * SMALL_BYTES);
    memory.drop(holder);
    memory.drop(other);
    assert.equal(memory.sumBytes, 0);
  });

  it('cuts the largest, as many as it takes, when the sum passes the maximum', () => {
    const memory = new ClientMemory(MAXIMUM_BYTES);
    const sizes = [2, 4, 3].map((size) => holding(memory, size * SMALL_BYTES));
    assert.deepEqual(
      sizes.map(({ cut }) => cut),
      [false, false, false],
    );
    const last = holding(memory, 9.5 * SMALL_BYTES);
    assert.equal(last.cut, true);
    assert.equal(memory.sumBytes, 9 * SMALL_BYTES);
    const small = sizes[0]!;
    small.memoryBytes = 3.5 * SMALL_BYTES;
    memory.note(small);
    assert.deepEqual(
      sizes.map(({ cut }) => cut),
      [false, true, false],
    );
    assert.equal(memory.sumBytes, 6.5 * SMALL_BYTES);
  });

  it('cuts those that are to be spared when no others are left, the largest of them first', () => {
    const memory = new ClientMemory(MAXIMUM_BYTES);
    const [small, large, other] = [2, 4, 3].map((size) => holding(memory, size * SMALL_BYTES));
    const cut = () => [small!.cut, large!.cut, other!.cut];
    small!.memorySpared = true;
    large!.memorySpared = true;
    small!.memoryBytes = 5 * SMALL_BYTES;
    memory.note(small!);
    assert.deepEqual(cut(), [false, false, true]);
    assert.equal(memory.sumBytes, 9 * SMALL_BYTES);
    large!.memoryBytes = 6 * SMALL_BYTES;
    memory.note(large!);
    assert.deepEqual(cut(), [false, true, true]);
    assert.equal(memory.sumBytes, 5 * SMALL_BYTES);
  });

  it('collects once when much was given back and nothing more comes', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let collections = 0;
    const memory = new ClientMemory(Infinity, () => collections++);
    const give = (bytes: number): void => memory.drop(holding(memory, bytes));
    give(1000 * SMALL_BYTES);
    rest(t);
    assert.equal(collections, 0);
    give(1024 * SMALL_BYTES);
    rest(t);
    rest(t);
    assert.equal(collections, 1);
    give(SMALL_BYTES + 1);
    rest(t);
    assert.equal(collections, 1);
  });

  it('collects only when nothing has been answered for a moment', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let collections = 0;
    let answered = 0;
    const memory = new ClientMemory(
      Infinity,
      () => collections++,
      () => answered,
    );
    memory.drop(holding(memory, 1025 * SMALL_BYTES));
    for (let i = 0; i < 1000; i++) {
      answered++;
      t.mock.timers.tick(50);
    }
    assert.equal(collections, 0);
    rest(t);
    assert.equal(collections, 1);
  });

  it('collects after very many connections that held nothing', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let collections = 0;
    const memory = new ClientMemory(Infinity, () => collections++);
    for (let i = 0; i < 1000; i++) memory.drop(new Holder());
    rest(t);
    assert.equal(collections, 0);
    for (let i = 0; i < 9000; i++) memory.drop(new Holder());
    rest(t);
    assert.equal(collections, 1);
  });
});
