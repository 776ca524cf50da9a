import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderReport, type ElasticRun } from './report.ts';

const RUN: ElasticRun = {
  startedAt: '2026-01-02T03:04:05.000Z',
  commit: 'abc1234',
  machine: 'a processor',
  cores: 2,
  proxies: 1,
  scale: 1,
  loadBefore: 0.2,
  loadAfter: 1,
  tookMs: 600_000,
  goals: [
    { part: 'a', what: 'rate', goal: 'much', measured: '10/s | all', met: true },
    { part: 'b', what: 'ratio', goal: 'at most 1.15', measured: '1.3', met: false },
  ],
  failures: [{ scenario: 'versions', message: 'no engine' }],
  charts: [{ name: 'elastic-tide', title: 'Shards' }],
  raw: {},
};

test('the report has a line for each goal, says what is missed and what was not measured', () => {
  const text = renderReport(RUN);
  assert.match(text, /1 of 2 goals are met/);
  assert.match(text, /\| a \| rate \| much \| 10\/s \\\| all \| yes \|/);
  assert.match(text, /\| b \| ratio \| at most 1\.15 \| 1\.3 \| \*\*no\*\* \|/);
  assert.match(text, /Not measured: versions \(no engine\)/);
  assert.match(text, /!\[Shards\]\(elastic-tide\.svg\)/);
  assert.doesNotMatch(text, /other work/);
});

test('a machine that was busy before is said to have been', () => {
  assert.match(renderReport({ ...RUN, loadBefore: 7 }), /other work at the same time/);
});
