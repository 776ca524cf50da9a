import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Command } from '../protocol/command-table.ts';
import { decodeReply, encodeReply, type RespValue } from '../protocol/resp-value.ts';
import { mergeByKey, mergeReplies } from './merge-replies.ts';

const ERROR = Buffer.from('-WRONGTYPE not that\r\n');

describe('replies of several shards as one', () => {
  it('are put together by the response policy', () => {
    assert.equal(merge('agg_sum', [3, 0, 4]), 7);
    assert.equal(merge('agg_min', [3, 0, 4]), 0);
    assert.equal(merge('agg_max', [3, 0, 4]), 4);
    assert.deepEqual(merge('agg_logical_and', [[1, 1, 0], [1, 0, 0]]), [1, 0, 0]); // prettier-ignore
    assert.deepEqual(merge('agg_logical_or', [[1, 1, 0], [1, 0, 0]]), [1, 1, 0]); // prettier-ignore
    assert.equal(String(merge('all_succeeded', ['one', 'two'])), 'one');
    assert.deepEqual(merge(null, [[1], [], [2, 3]]), [1, 2, 3]);
  });

  it('are an error when one of them is, unless one success is enough', () => {
    for (const policy of ['agg_sum', 'agg_logical_and', 'all_succeeded', null])
      assert.deepEqual(mergeReplies(command(policy), [encodeReply(1, 3), ERROR], 3), ERROR);
    const some = [ERROR, encodeReply(1, 3)];
    assert.deepEqual(mergeReplies(command('one_succeeded'), some, 3), encodeReply(1, 3));
    assert.deepEqual(mergeReplies(command('one_succeeded'), [ERROR, ERROR], 3), ERROR);
  });
});

describe('replies with one element for each key', () => {
  const element = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.array(fc.integer()));

  it('come in the order of the keys, however these were spread', () => {
    const keys = fc.array(fc.tuple(element, fc.integer({ min: 0, max: 3 })), { minLength: 1 });
    fc.assert(
      fc.property(keys, (spread) => {
        const shards = [...new Set(spread.map(([, shard]) => shard))];
        const positions = shards.map((shard) =>
          spread.flatMap(([, at], position) => (at === shard ? [position] : [])),
        );
        const replies = positions.map((own) =>
          encodeReply(own.map((position) => spread[position]![0]), 3),
        ); // prettier-ignore
        const whole = encodeReply(spread.map(([value]) => value), 3); // prettier-ignore
        assert.deepEqual(mergeByKey(replies, positions, spread.length), whole);
      }),
    );
  });

  it('are an error when one of them is, or when one is too short', () => {
    const good = encodeReply([1], 3);
    assert.deepEqual(mergeByKey([good, ERROR], [[0], [1]], 2), ERROR);
    assert.match(mergeByKey([good, good], [[0], [1, 2]], 3).toString(), /^-ERR .*fewer elements/);
  });
});

function merge(policy: string | null, values: RespValue[]): RespValue {
  const replies = values.map((value) => encodeReply(value, 3));
  return decodeReply(mergeReplies(command(policy), replies, 3));
}

function command(policy: string | null): Command {
  const tips = policy === null ? [] : [`response_policy:${policy}`];
  return new Command(['any', -1, [], 0, 0, 0, [], tips, [], []]);
}
