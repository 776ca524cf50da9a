import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Takeovers } from './takeovers.ts';

suite('Takeovers', () => {
  test('a takeover waits for what is being given away, and nothing is begun meanwhile', async () => {
    const takeovers = new Takeovers();
    const order: string[] = [];
    const slot = Promise.withResolvers<void>();
    const turn = takeovers.turnOf('c', 0);
    const given = takeovers.give('c', 0, turn, async () => {
      await slot.promise;
      order.push('given');
    });
    const taken = takeovers.takeOver('c', 0, async () => void order.push('taken over'));
    const begun = () => takeovers.turnOf('c', 0);
    const late = takeovers.give('c', 0, begun(), async () => void order.push('late'));
    await assert.rejects(late, /shard 0 got another primary/);
    // Other shards have nothing to do with it.
    await takeovers.give('c', 1, takeovers.turnOf('c', 1), async () => void order.push('other'));
    slot.resolve();
    await Promise.all([given, taken]);
    assert.deepEqual(order, ['other', 'given', 'taken over']);
    await takeovers.give('c', 0, begun(), async () => void order.push('after'));
    assert.equal(order.at(-1), 'after');
  });

  test('what was seen before a takeover is not acted on after it', async () => {
    const takeovers = new Takeovers();
    const turn = takeovers.turnOf('c', 0);
    await takeovers.takeOver('c', 0, async () => undefined);
    let done = false;
    await assert.rejects(takeovers.give('c', 0, turn, async () => (done = true)));
    assert.equal(done, false);
  });

  test('a takeover that fails, and a slot that cannot be given, stand in nobody’s way', async () => {
    const takeovers = new Takeovers();
    const failing = async () => {
      throw new Error('no answer');
    };
    await assert.rejects(takeovers.give('c', 0, takeovers.turnOf('c', 0), failing), /no answer/);
    await assert.rejects(takeovers.takeOver('c', 0, failing), /no answer/);
    assert.equal(await takeovers.give('c', 0, takeovers.turnOf('c', 0), async () => 1), 1);
  });
});
