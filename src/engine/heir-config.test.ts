import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { makeHeir } from './heir-config.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const AUX = `,,tls-port=0,shard-id=${'5'.repeat(40)}`;
const CONF = `${B} 127.0.0.1:3@4,,tls-port=0,shard-id=${'6'.repeat(40)} master,fail? - 7 8 2 connected 101-16383
${A} 127.0.0.1:1@2${AUX} myself,master - 0 0 9 connected 0-99 100 [100->-${B}]
vars currentEpoch 9 lastVoteEpoch 0
`;

suite('makeHeir', () => {
  const ghostOf = (text: string) => text.slice(0, 40);

  test('the node follows a ghost that has its shard and its epoch', () => {
    const heir = makeHeir(CONF, (had) => had)!;
    const ghost = ghostOf(heir.text);
    assert.deepEqual(heir.text.split('\n'), [
      `${ghost} :0@0${AUX} noaddr,master - 0 0 9 disconnected`,
      `${A} 127.0.0.1:1@2${AUX} myself,slave ${ghost} 0 0 0 connected`,
      `${B} 127.0.0.1:3@4,,tls-port=0,shard-id=${'6'.repeat(40)} master - 7 8 2 connected 101-16383`,
      'vars currentEpoch 9 lastVoteEpoch 0',
      '',
    ]);
    assert.match(ghost, /^[0-9a-f]{40}$/);
    assert.notEqual(ghostOf(makeHeir(CONF, (had) => had)!.text), ghost);
    assert.deepEqual(heir.slots, [
      { first: 0, last: 99 },
      { first: 100, last: 100 },
    ]);
  });

  test('among three or more it takes the slots from the ghost', () => {
    const c = `${'c'.repeat(40)} 127.0.0.1:5@6 master - 7 8 3 connected 20-30\n`;
    const heir = makeHeir(`${c}${CONF}`, (had) => had)!;
    assert.match(heir.text, /^\w{40} :0@0\S+ noaddr,master - 0 0 9 disconnected 0-99 100\n/);
  });

  test('beside an only primary stands a witness with one slot, so that there is a majority', () => {
    const alone = CONF.split('\n').slice(1).join('\n');
    const heir = makeHeir(alone, (had) => had)!;
    assert.match(
      heir.text.split('\n')[2]!,
      /^\w{40} 127.0.0.1:1@1 master - 0 0 0 disconnected 100$/,
    );
  });

  test('only slots that may be kept', () => {
    const slots = [{ first: 50, last: 60 }];
    assert.deepEqual(makeHeir(CONF, () => slots)!.slots, slots);
    assert.equal(
      makeHeir(CONF, () => []),
      null,
    );
  });

  test('a replica, a primary without slots and half a file are left as they are', () => {
    const keep = () => [{ first: 0, last: 1 }];
    assert.equal(makeHeir('', keep), null);
    assert.equal(makeHeir(CONF.slice(0, -20), keep), null);
    assert.equal(makeHeir(CONF.replace('myself,master -', `myself,slave ${B}`), keep), null);
    assert.equal(
      makeHeir(CONF.replace(/0-99 100 .*/, ''), (had) => had),
      null,
    );
  });
});
