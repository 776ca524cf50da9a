import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { meanWaitMs, mixtureQuantile, waitsLonger, type Server } from './queueing.ts';

const server = (part: Partial<Server>): Server => ({
  share: 1,
  utilisation: 0.5,
  serviceMs: 1,
  variation: 1,
  delayMs: 0,
  ...part,
});

suite('queueing', () => {
  test('M/M/1 at one half waits one service time on average, M/D/1 half of it', () => {
    assert.equal(meanWaitMs(server({})), 1);
    assert.equal(meanWaitMs(server({ variation: 0 })), 0.5);
  });

  test('the tail of M/M/1 is exact: P(W > t) = u e^(-(1-u) t / s)', () => {
    assert.ok(Math.abs(waitsLonger(server({}), 3) - 0.5 * Math.exp(-1.5)) < 1e-12);
  });

  test('a backlog delays everybody', () => {
    assert.equal(waitsLonger(server({ delayMs: 5 }), 4), 1);
    assert.ok(mixtureQuantile([server({ delayMs: 5 })], 0.5) >= 5);
  });

  test('the quantile of a mixture is what that part of all requests stays below', () => {
    const servers = [
      server({ share: 3, utilisation: 0.3 }),
      server({ share: 1, utilisation: 0.9 }),
    ];
    for (const quantile of [0.5, 0.9, 0.99]) {
      const wait = mixtureQuantile(servers, quantile);
      const longer = (3 * waitsLonger(servers[0]!, wait) + waitsLonger(servers[1]!, wait)) / 4;
      if (wait > 0) assert.ok(Math.abs(longer - (1 - quantile)) < 1e-6);
      else assert.ok(longer <= 1 - quantile);
    }
    assert.equal(mixtureQuantile([], 0.99), 0);
  });
});
