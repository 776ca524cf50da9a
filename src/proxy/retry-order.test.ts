import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Command } from '../protocol/command-table.ts';
import { hashSlot } from '../protocol/hash-slot.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';
import type { RespValue } from '../protocol/resp-value.ts';
import { NO_COMMAND, overtakenBy } from './retry-order.ts';
import { NO_SLOT, Request } from './routing/request.ts';

const FIRST = keySpec(['index', '1'], ['lastkey', '0', 'keystep', '1', 'limit', '0']);
const EVERY_SECOND = keySpec(['index', '1'], ['lastkey', '-1', 'keystep', '2', 'limit', '0']);
const NUMBERED = [
  'flags', ['RW'],
  'begin_search', ['type', 'index', 'spec', ['index', '2']],
  'find_keys', ['type', 'keynum', 'spec', ['keynumidx', '0', 'firstkey', '1', 'keystep', '1']],
]; // prettier-ignore
const UNKNOWN = [
  'flags', ['OW'],
  'begin_search', ['type', 'unknown', 'spec', []],
  'find_keys', ['type', 'unknown', 'spec', []],
]; // prettier-ignore

const GET = command('get', [FIRST]);
const SET = command('set', [FIRST]);
const MSET = command('mset', [EVERY_SECOND]);
const SORT = command('sort', [FIRST, UNKNOWN]);
const MOSTLY = command('mostly', [['flags', ['RW', 'incomplete'], ...FIRST.slice(2)]]);
const EVAL = command('eval', [NUMBERED], ['@slow', '@scripting']);
const PING = command('ping', []);
const PUBLISH = command('publish', []);
const FLUSHALL = command('flushall', [], [], ['write']);

const ON_ONE = 100;
const ON_ONE_TOO = 200;
const ON_OTHER = 16_000;

describe('a request that waits, and a later one of its session that has run', () => {
  it('keep their order for the same key', () => {
    assert.ok(overtakes(request(SET, 'a', 2), request(SET, 'a', 1)));
    assert.ok(overtakes(request(SET, 'a', 2), request(GET, 'a')));
  });

  it('have none for different keys, of one slot or not', () => {
    assert.ok(!overtakes(request(SET, '{t}a', 1), request(GET, '{t}b')));
    assert.ok(!overtakes(request(SET, 'a', 1), request(GET, 'b')));
  });

  it('keep it when one of several keys is the same, whatever the slot of the first', () => {
    assert.ok(overtakes(request(SET, '{t}b', 2), request(MSET, '{t}a', 1, '{t}b', 1)));
    assert.ok(overtakes(request(MSET, '{t}a', 1, '{t}b', 1), request(SET, '{t}b', 2)));
    assert.ok(!overtakes(request(SET, '{t}c', 2), request(MSET, '{t}a', 1, '{t}b', 1)));
    // Unsharded: keys of many slots.
    assert.ok(overtakes(request(SET, 'b', 2), request(MSET, 'a', 1, 'b', 1)));
    assert.ok(overtakes(request(MSET, 'a', 1, 'b', 1), request(GET, 'b')));
    assert.ok(!overtakes(request(SET, 'c', 2), request(MSET, 'a', 1, 'b', 1)));
  });

  it('keep it in their whole slot when one may touch more than it names', () => {
    const other = request(GET, '{t}b');
    for (const unclear of [
      request(EVAL, 'return 1', 1, '{t}a'),
      request(SORT, '{t}a'),
      request(MOSTLY, '{t}a'),
      batch('{t}a'),
      prefixed(request(GET, '{t}a')),
    ]) {
      assert.ok(overtakes(unclear, other));
      assert.ok(overtakes(other, unclear));
      assert.ok(!overtakes(unclear, request(GET, 'elsewhere')));
    }
  });

  it('keep it for the keys that a script names in other slots of an unsharded cache', () => {
    const script = request(EVAL, 'return 1', 2, 'a', 'b');
    assert.ok(overtakenBy(script, UNSHARDED)(request(SET, 'b', 1)));
  });

  it('have none when one of them touches no data', () => {
    assert.ok(!overtakes(request(PING), request(PING)));
    assert.ok(!overtakes(request(PING), request(GET, 'a')));
    assert.ok(!overtakes(request(PUBLISH, 'a', 1), request(SET, 'a', 1)));
  });

  it('keep it for messages', () => {
    assert.ok(overtakes(request(PUBLISH, 'a', 2), request(PUBLISH, 'a', 1)));
  });

  it('keep it with all that is on the node of one that names no key', () => {
    const flush = request(FLUSHALL);
    // A part of a fan-out: its slot says which node.
    flush.slot = ON_ONE;
    assert.ok(overtakes(flush, slotted(request(SET, 'a', 1), ON_ONE_TOO)));
    assert.ok(!overtakes(flush, slotted(request(SET, 'a', 1), ON_OTHER)));
    assert.ok(overtakes(slotted(request(SET, 'a', 1), ON_ONE_TOO), flush));
    const script = slotted(request(EVAL, 'return 1', 0), NO_SLOT);
    assert.ok(overtakes(script, slotted(request(SET, 'a', 1), ON_ONE)));
    assert.ok(!overtakes(script, slotted(request(SET, 'a', 1), ON_OTHER)));
  });

  it('keep it in the whole of an unsharded cache when one may touch more than it names', () => {
    const set = request(SET, 'a', 1);
    const transaction = slotted(batch('b'), NO_SLOT);
    for (const unclear of [transaction, request(EVAL, 'return 1', 0), request(FLUSHALL)]) {
      assert.ok(overtakenBy(unclear, UNSHARDED)(set));
      assert.ok(overtakenBy(set, UNSHARDED)(unclear));
    }
    assert.ok(!overtakenBy(request(SET, 'b', 1), UNSHARDED)(set));
  });

  it('have none with what stands in the list only for its place', () => {
    const place = new Request();
    place.slot = NO_COMMAND;
    assert.ok(!overtakes(place, request(GET, 'a')));
    assert.ok(!overtakes(request(GET, 'a'), place));
    assert.ok(!overtakes(place, place));
  });

  it('are compared where their bytes stand, amid others', () => {
    const done = request(SET, '{t}a', 1);
    const bytes = done.buf!;
    done.buf = Buffer.concat([encodeRequest(['SET', '{t}b', 1]), bytes, Buffer.from('*1')]);
    done.start = done.buf.length - bytes.length - 2;
    done.end = done.buf.length - 2;
    assert.ok(overtakes(done, request(GET, '{t}a')));
    assert.ok(!overtakes(done, request(GET, '{t}b')));
  });
});

/** Two nodes: slots below 8192, and the others. */
const SHARDED = { cache: { sharding: true }, ownerOf: (slot: number) => (slot < 8192 ? 0 : 1) };
const UNSHARDED = { cache: { sharding: false }, ownerOf: () => 0 };

function overtakes(done: Request, waiting: Request): boolean {
  return overtakenBy(done, SHARDED)(waiting);
}

function slotted(made: Request, slot: number): Request {
  made.slot = slot;
  return made;
}

function request(of: Command, ...args: (string | number)[]): Request {
  const made = new Request();
  made.command = of;
  made.buf = encodeRequest([of.name, ...args]);
  made.end = made.buf.length;
  const key = String(args[of === EVAL ? 2 : 0]);
  made.slot = of.keySpecs.length === 0 ? NO_SLOT : hashSlot(Buffer.from(key), 0, key.length);
  return made;
}

/** A transaction: several commands in one request. */
function batch(key: string): Request {
  const made = request(GET, key);
  made.command = null;
  made.precedingReplies = 2;
  return made;
}

/** With CLIENT CACHING before it. */
function prefixed(made: Request): Request {
  made.buf = Buffer.concat([encodeRequest(['CLIENT', 'CACHING', 'YES']), made.buf!]);
  made.end = made.buf.length;
  made.precedingReplies = 1;
  return made;
}

function command(
  name: string,
  specs: RespValue[],
  categories: string[] = [],
  flags: string[] = [],
): Command {
  return new Command([name, -1, flags, 0, 0, 0, categories, [], specs, []]);
}

function keySpec(search: string[], range: string[]): RespValue[] {
  return [
    'flags', ['RW'],
    'begin_search', ['type', 'index', 'spec', search],
    'find_keys', ['type', 'range', 'spec', range],
  ]; // prettier-ignore
}
