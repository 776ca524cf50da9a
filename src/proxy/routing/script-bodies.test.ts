import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ScriptBodies } from './script-bodies.ts';

const KIB = 1024;

describe('ScriptBodies', () => {
  it('keeps a copy under the name that the engine gives it', () => {
    const bodies = new ScriptBodies();
    const body = Buffer.from('return 1');
    const sha = bodies.keep(body);
    assert.equal(sha, 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db');
    body.fill(0);
    assert.equal(bodies.get(sha)!.toString(), 'return 1');
    assert.equal(bodies.keep(Buffer.from('return 1')), sha);
    assert.equal(bodies.sizeBytes, 8);
    bodies.drop(sha);
    assert.equal(bodies.get(sha), null);
    assert.equal(bodies.sizeBytes, 0);
  });

  it('is bounded: what has not been wanted for longest goes', () => {
    const bodies = new ScriptBodies();
    const shas = Array.from({ length: 8 }, (_, i) => bodies.keep(Buffer.alloc(512 * KIB, i)));
    assert.notEqual(bodies.get(shas[0]!), null);
    bodies.keep(Buffer.alloc(512 * KIB, 8));
    assert.deepEqual(
      shas.map((sha) => bodies.get(sha) !== null),
      [true, false, true, true, true, true, true, true],
    );
    assert.equal(bodies.get(bodies.keep(Buffer.alloc(1025 * KIB))), null);
    assert.equal(bodies.sizeBytes, 4096 * KIB);
    bodies.clear();
    assert.equal(bodies.sizeBytes, 0);
  });
});
