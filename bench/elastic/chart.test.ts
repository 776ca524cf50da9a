import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderChart } from './chart.ts';

test('a chart holds each panel, line and mark, scaled to its highest value', () => {
  const svg = renderChart({
    name: 'x',
    title: 'Load & shards',
    subtitle: 'a < b',
    panels: [
      {
        title: 'rate',
        lines: [
          {
            label: 'sent',
            points: [
              [0, 0],
              [10, 100],
            ],
          },
        ],
      },
      {
        title: 'shards',
        lines: [
          {
            label: 'n',
            points: [
              [0, 1],
              [5, 3],
            ],
            steps: true,
          },
        ],
      },
    ],
    marks: [{ atSeconds: 5, label: 'add-shard' }],
  });
  assert.match(svg, /Load &amp; shards/);
  assert.match(svg, /a &lt; b/);
  assert.match(svg, /<title>add-shard<\/title>/);
  // A line goes straight to its point, a number of things in steps.
  assert.match(svg, /d="M78 234L730 84"/);
  assert.match(svg, /d="M78 [\d.]+H404V280"/);
});
