import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overlap, parseSlotMigrations } from './slot-migrations.ts';

test('reads what 9.1 says of its migrations', () => {
  const reply = [
    (
      'name 126ff operation EXPORT slot_ranges 0-100_200-200 target_node bbb source_node aaa ' +
      'create_time 1 state snapshotting message state cow_size 0 remaining_repl_size 0'
    )
      .split(' ')
      .map((word) => word.replace('_200', ' 200')),
    'name 2 operation IMPORT slot_ranges 7-7 state failed message no'.split(' '),
  ];
  const [first, second] = parseSlotMigrations(reply);
  assert.deepEqual(first, {
    name: '126ff',
    operation: 'export',
    ranges: [
      { first: 0, last: 100 },
      { first: 200, last: 200 },
    ],
    sourceId: 'aaa',
    targetId: 'bbb',
    state: 'snapshotting',
    message: 'state',
    isActive: true,
  });
  assert.equal(second!.isActive, false);
  assert.equal(second!.message, 'no');
  assert.deepEqual(parseSlotMigrations([]), []);
});

test('ranges overlap when they share a slot', () => {
  const range = (first: number, last: number) => [{ first, last }];
  assert.ok(overlap(range(0, 10), range(10, 20)));
  assert.ok(overlap(range(5, 6), range(0, 10)));
  assert.ok(!overlap(range(0, 9), range(10, 20)));
});
