import assert from 'node:assert/strict';
import { test } from 'node:test';
import { axisUpTo, plotPanels } from './plot-model.ts';
import { renderPlot } from './plot.ts';
import { fixtureResults } from './results-fixture.ts';

const TARGETS = [
  { name: 'direct', requestsPerSecond: 100, proxyCpu: 0, nodeCpu: 10 },
  { name: 'springtide', requestsPerSecond: 125, proxyCpu: 9, nodeCpu: 4 },
];
const CELLS = [10, 50].flatMap((clients) =>
  [1, 16].flatMap((pipeline) => [false, true].map((tls) => ({ clients, pipeline, tls }))),
);

test('a panel for each pipeline depth, plain before TLS', () => {
  const panels = plotPanels(fixtureResults(TARGETS, CELLS));
  assert.deepEqual(
    panels.map((panel) => [panel.title, panel.clients]),
    [
      ['Pipeline 1', [10, 50]],
      ['Pipeline 16', [10, 50]],
      ['Pipeline 1, TLS', [10, 50]],
      ['Pipeline 16, TLS', [10, 50]],
    ],
  );
});

test("the plot's numbers are the summaries'", () => {
  const results = fixtureResults(TARGETS, CELLS);
  const samples = results.samples.filter(
    (run) => !(run.target === 'springtide' && run.clients === 10),
  );
  const [panel] = plotPanels({ ...results, samples });
  const [direct, springtide] = panel!.series;
  assert.deepEqual(direct!.throughput, [null, null]);
  assert.deepEqual(direct!.cpu, [
    { proxy: 0, node: 10 },
    { proxy: 0, node: 10 },
  ]);
  assert.deepEqual(springtide!.throughput, [
    null,
    { median: 1.25, low: 1.25, high: 1.25, pairs: 2 },
  ]);
  assert.deepEqual(springtide!.cpu, [null, { proxy: 9, node: 4 }]);
  assert.ok(panel!.throughputAxis.maximum >= 1.25);
  assert.ok(panel!.cpuAxis.maximum >= 13);
});

test('axes end on a round number that holds the largest value', () => {
  assert.deepEqual(axisUpTo(1.2), { maximum: 1.2, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2] });
  assert.deepEqual(axisUpTo(24.9), { maximum: 25, ticks: [0, 5, 10, 15, 20, 25] });
  assert.deepEqual(axisUpTo(0), { maximum: 1, ticks: [0, 1] });
  for (const value of [0.03, 0.7, 1.01, 3.3, 9.99, 61, 1234]) {
    const { maximum, ticks } = axisUpTo(value);
    assert.ok(maximum >= value && maximum < value * 1.5, `${value} in ${maximum}`);
    assert.ok(ticks.length >= 4 && ticks.length <= 8, `${ticks.length} ticks for ${value}`);
  }
});

test('the drawing has a bar for each target and escapes what it is given', () => {
  const svg = renderPlot(
    fixtureResults(TARGETS, CELLS, {
      targets: [
        { name: 'direct', label: 'direct' },
        { name: 'springtide', label: 'one <b> & two' },
      ],
    }),
  );
  assert.equal(
    svg.match(/<title>one &lt;b&gt; &amp; two: proxy 9\.0, nodes 4\.0<\/title>/g)?.length,
    CELLS.length,
  );
  assert.ok(!svg.includes('<b>'));
  assert.ok(!/NaN|undefined|null/.test(svg));
});
