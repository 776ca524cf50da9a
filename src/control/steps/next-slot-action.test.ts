import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextSlotAction, type SlotAction, type SlotSide } from './next-slot-action.ts';

const OWNERS = ['source', 'target', 'other', 'nobody'] as const;
const MARKS = ['none', 'here', 'elsewhere', 'gone'] as const;

/** Every way in which one end may see a slot. */
const SIDES: SlotSide[] = OWNERS.flatMap((owner) =>
  MARKS.flatMap((mark) => [0, 3].map((keys) => ({ owner, mark, keys }))),
);

interface Ends {
  readonly source: SlotSide;
  readonly target: SlotSide;
}

const PAIRS: Ends[] = SIDES.flatMap((source) => SIDES.map((target) => ({ source, target })));

/** What the engine does; throws where it would refuse (clusterParseSetSlotCommand). */
function apply({ source, target }: Ends, action: SlotAction): Ends {
  switch (action) {
    case 'mark-target':
      assert.notEqual(target.owner, 'target', 'SETSLOT IMPORTING is refused by the owner');
      return { source, target: { ...target, mark: 'here' } };
    case 'mark-source':
      assert.equal(source.owner, 'source', 'SETSLOT MIGRATING is for the owner');
      return { source: { ...source, mark: 'here' }, target };
    case 'move-keys':
      assert.deepEqual([source.mark, target.mark], ['here', 'here'], 'clients must be sent on');
      return {
        source: { ...source, keys: 0 },
        target: { ...target, keys: target.keys + source.keys },
      };
    case 'give-to-target':
      if (source.owner === 'source') {
        assert.equal(source.mark, 'here', 'keys may still come into being at the source');
        assert.equal(source.keys, 0, 'keys are left at the source');
      }
      assert.equal(target.mark, 'here', 'without it the target takes no new epoch');
      return { source, target: { ...target, owner: 'target', mark: 'none' } };
    case 'tell-source':
      assert.ok(source.owner !== 'source' || source.keys === 0, 'refused: keys are left');
      return { source: { ...source, owner: 'target', mark: 'none' }, target };
    case 'clear-source':
      return { source: { ...source, mark: 'none' }, target };
    case 'clear-target':
      return { source, target: { ...target, mark: 'none' } };
    default:
      return { source, target };
  }
}

function run(start: Ends): { end: Ends; last: SlotAction } {
  let end = start;
  for (let steps = 0; steps < 12; steps++) {
    const last = nextSlotAction(end.source, end.target);
    if (last === 'done' || last === 'wait' || last === 'refuse') return { end, last };
    end = apply(end, last);
  }
  return assert.fail(`does not end: ${JSON.stringify(start)}`);
}

test('from wherever a move was cut off, it comes to an end that the engine accepts at each step', () => {
  assert.equal(PAIRS.length, 1024);
  for (const start of PAIRS) {
    const { end, last } = run(start);
    if (last !== 'done') continue;
    assert.equal(end.source.owner, 'target', JSON.stringify(start));
    assert.equal(end.target.owner, 'target');
    assert.deepEqual([end.source.mark, end.target.mark], ['none', 'none']);
  }
});

test('a slot that either end owns is moved, unless a third shard has to do with it', () => {
  for (const start of PAIRS) {
    const { source, target } = start;
    const own = source.owner === 'source' && target.owner === 'source';
    const free = source.mark !== 'elsewhere' && target.mark !== 'elsewhere';
    if (own) assert.equal(run(start).last, free ? 'done' : 'refuse', JSON.stringify(start));
    // Given away by the one, not taken by the other: nobody serves it.
    if (source.owner === 'target' && target.owner === 'source' && free)
      assert.equal(run(start).last, 'done', JSON.stringify(start));
  }
});

test('nothing is lost: keys of the source end up at the target', () => {
  for (const start of PAIRS) {
    const { end, last } = run(start);
    if (last !== 'done' || start.source.owner !== 'source') continue;
    assert.ok(end.target.keys >= start.target.keys + start.source.keys, JSON.stringify(start));
  }
});

test('a third shard that has the slot keeps it, and no mark stays', () => {
  for (const start of PAIRS) {
    if (start.source.owner !== 'other' || start.target.owner !== 'other') continue;
    const { end, last } = run(start);
    assert.equal(last, 'refuse');
    const elsewhere = start.source.mark === 'elsewhere' || start.target.mark === 'elsewhere';
    if (!elsewhere) assert.deepEqual([end.source.mark, end.target.mark], ['none', 'none']);
  }
});

test('the source is gone with all it had: what has arrived is served, what has not is not', () => {
  const at = (mark: SlotSide['mark'], keys: number): SlotSide => ({ owner: 'source', mark, keys });
  assert.equal(nextSlotAction(null, at('here', 2)), 'give-to-target');
  assert.equal(nextSlotAction(null, at('here', 0)), 'wait');
  assert.equal(nextSlotAction(null, at('none', 2)), 'wait');
  assert.equal(nextSlotAction(null, { owner: 'target', mark: 'none', keys: 2 }), 'done');
});

test('the target is gone: the source sends nobody there any more', () => {
  const side = (mark: SlotSide['mark']): SlotSide => ({ owner: 'source', mark, keys: 1 });
  assert.equal(nextSlotAction(side('here'), null), 'clear-source');
  assert.equal(nextSlotAction(side('none'), null), 'wait');
  assert.equal(nextSlotAction(null, null), 'wait');
});

test('a slot that was given to a target which died is nobody’s, and is given to the one in its place', () => {
  const side = (owner: SlotSide['owner'], keys = 0): SlotSide => ({ owner, mark: 'none', keys });
  assert.equal(nextSlotAction(side('nobody'), side('source')), 'mark-target');
  assert.equal(run({ source: side('nobody'), target: side('source', 3) }).last, 'done');
  // Keys there are its source's, and a third shard that has the slot keeps it.
  assert.equal(nextSlotAction(side('nobody', 3), side('source')), 'wait');
  assert.equal(nextSlotAction(side('nobody'), side('other')), 'wait');
});
