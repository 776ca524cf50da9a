import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fitMoves } from './fit-moves.ts';

const took = (keys: number, bytes: number) => ({
  keys,
  bytes,
  tookMs: 100 + (keys * 2) / 1e3 + (bytes / 200e6) * 1000,
});

suite('fitMoves', () => {
  test('finds what the times were made of', () => {
    const fit = fitMoves([took(1e3, 1e6), took(1e5, 1e7), took(2e3, 9e7), took(5e4, 4e7)])!;
    assert.ok(Math.abs(fit.fixedMs - 100) < 1e-6, String(fit.fixedMs));
    assert.ok(Math.abs(fit.usPerKey - 2) < 1e-6, String(fit.usPerKey));
    assert.ok(Math.abs(fit.bytesPerSecond / 200e6 - 1) < 1e-6, String(fit.bytesPerSecond));
    assert.ok(fit.medianErrorMs < 1e-6);
  });

  test('says nothing where keys and bytes are all alike', () => {
    assert.equal(fitMoves([took(1e3, 1e6), took(1e3, 1e6), took(1e3, 1e6)]), null);
  });
});
