import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderReport, renderTable } from './report.ts';
import { fixtureResults } from './results-fixture.ts';

test('columns are as wide as their widest cell, figures to the right', () => {
  assert.equal(
    renderTable(
      ['name', 'n'],
      [
        ['a', '1'],
        ['longer', '12.5'],
      ],
    ),
    ['  name       n', '  ------  ----', '  a          1', '  longer  12.5'].join('\n'),
  );
});

test('a row says throughput, latency, CPU apart and in total, and ratios', () => {
  const report = renderReport(
    fixtureResults(
      [
        { name: 'direct', requestsPerSecond: 100_000, proxyCpu: 0, nodeCpu: 10 },
        { name: 'springtide', requestsPerSecond: 90_000, proxyCpu: 9, nodeCpu: 4 },
      ],
      [{ clients: 50, pipeline: 1, tls: false }],
    ),
  );
  const row = report.split('\n').find((line) => line.includes('the springtide'));
  assert.deepEqual(row?.trim().split(/\s+/).slice(2), [
    '50',
    '90000',
    '0.90',
    '0.25',
    '1.50',
    '9.00',
    '4.00',
    '13.0',
    '1.30',
  ]);
});

test('what failed and what was left out is said', () => {
  const failure = {
    target: 'twemproxy',
    command: 'get',
    clients: 10,
    pipeline: 1,
    tls: false,
    repetition: 2,
    error: 'ERR no',
  } as const;
  const report = renderReport(
    fixtureResults([], [], {
      failures: [failure],
      skipped: [{ name: 'predixy', reason: 'not installed' }],
    }),
  );
  assert.match(report, /Not measured: predixy: not installed/);
  assert.match(report, /twemproxy get P1 c=10 repetition 2: ERR no/);
});
