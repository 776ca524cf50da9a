import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkGoals, totalCpuGoal } from './goals.ts';
import { fixtureResults } from './results-fixture.ts';

const DIRECT = { name: 'direct', requestsPerSecond: 100, proxyCpu: 0, nodeCpu: 10 };
const CELL = { clients: 50, pipeline: 1, tls: false };

test('the CPU goal depends on clients and pipeline', () => {
  const goals = [10, 50, 200, 1000].map((clients) =>
    totalCpuGoal({ clients, pipeline: 1, tls: false }),
  );
  assert.deepEqual(goals, [2, 1.5, 1.25, 1.25]);
  assert.equal(totalCpuGoal({ clients: 10, pipeline: 16, tls: false }), 1.8);
  assert.equal(totalCpuGoal({ clients: 10, pipeline: 1, tls: true }), null);
  assert.equal(totalCpuGoal({ clients: 10, pipeline: 4, tls: false }), null);
});

test('goals that are met and goals that are missed', () => {
  const springtide = {
    name: 'springtide',
    requestsPerSecond: 90,
    tlsRequestsPerSecond: 60,
    proxyCpu: 10,
    nodeCpu: 5,
  };
  const twemproxy = { name: 'twemproxy', requestsPerSecond: 80, proxyCpu: 10, nodeCpu: 5 };
  const cells = [CELL, { ...CELL, tls: true }, { ...CELL, clients: 200 }];
  const checks = checkGoals(
    fixtureResults([DIRECT, springtide, twemproxy], cells, {
      idle: [
        {
          target: 'springtide',
          connections: 10_000,
          proxyBytesPerConnection: 8192,
          nodeBytesPerConnection: 1024,
          heldRatios: [0.8, 0.95, 0.93],
        },
      ],
    }),
  );
  const outcome = Object.fromEntries(checks.map((check) => [check.what, [check.value, check.met]]));
  assert.deepEqual(outcome, {
    'total CPU ratio at P1, 50 clients': [1.5, true],
    'node CPU ratio at P1, 50 clients': [0.5, false],
    'total CPU ratio at P1, 200 clients': [1.5, false],
    'node CPU ratio at P1, 200 clients': [0.5, false],
    "throughput to twemproxy's at P1, 50 clients": [1.125, true],
    "throughput to twemproxy's at P1, 200 clients": [1.125, true],
    'throughput to direct at P1, 200 clients': [0.9, false],
    'TLS throughput to plain at P1, 50 clients': [60 / 90, false],
    'memory per idle connection': [9, true],
    'throughput of 50 clients beside 10000 idle ones': [0.93, true],
  });
});

test('the faster of the peers is the one to beat', () => {
  const checks = checkGoals(
    fixtureResults(
      [
        DIRECT,
        { name: 'springtide', requestsPerSecond: 90, proxyCpu: 1, nodeCpu: 1 },
        { name: 'predixy', requestsPerSecond: 120, proxyCpu: 1, nodeCpu: 1 },
        { name: 'twemproxy', requestsPerSecond: 60, proxyCpu: 1, nodeCpu: 1 },
      ],
      [CELL],
    ),
  );
  const against = checks.find((check) => check.what.startsWith('throughput'));
  assert.equal(against?.what, "throughput to predixy's at P1, 50 clients");
  assert.equal(against.met, false);
});

test('nothing is claimed where nothing was measured', () => {
  assert.deepEqual(checkGoals(fixtureResults([DIRECT], [CELL])), []);
  const failed = {
    target: 'springtide',
    connections: 1,
    proxyBytesPerConnection: 0,
    nodeBytesPerConnection: 0,
    heldRatios: [],
    error: 'cut',
  };
  const unknown = { name: 'springtide', requestsPerSecond: 90, proxyCpu: 0, nodeCpu: 0 };
  assert.deepEqual(checkGoals(fixtureResults([DIRECT, unknown], [CELL])), []);
  const alone = fixtureResults([{ ...DIRECT, name: 'springtide' }], [CELL], { idle: [failed] });
  assert.deepEqual(checkGoals(alone), []);
});
