/**
 * The results as one SVG: a column for each pipeline depth, in it throughput as a ratio to direct and CPU per million
 * requests; plain above, TLS below. Colours are Okabe and Ito's, which stay apart for colour-blind eyes; markers differ as well.
 */
import { BASELINE, type BenchResults } from './sample.ts';
import { plotPanels, type PlotPanel, type PlotSeries } from './plot-model.ts';

const PANEL = { width: 470, height: 270, left: 52, top: 34 } as const;
const GAP = { x: 34, y: 74 } as const;
const MARGIN = { left: 26, top: 118, right: 24, bottom: 96 } as const;
const INK = '#1a1a1a';
const FAINT = '#d9d9d9';
const FONT = "font-family=\"'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif\"";

type Marker = 'circle' | 'square' | 'triangle' | 'diamond' | 'down';
interface Style {
  readonly colour: string;
  readonly marker: Marker;
}
const STYLES: Readonly<Record<string, Style>> = {
  [BASELINE]: { colour: '#595959', marker: 'circle' },
  single: { colour: '#a6a6a6', marker: 'circle' },
  springtide: { colour: '#0072b2', marker: 'circle' },
  'springtide-2': { colour: '#56b4e9', marker: 'square' },
  predixy: { colour: '#e69f00', marker: 'triangle' },
  twemproxy: { colour: '#009e73', marker: 'diamond' },
  haproxy: { colour: '#cc79a7', marker: 'down' },
};
const OTHER: Style = { colour: '#d55e00', marker: 'square' };

/** A complete SVG document. */
export function renderPlot(results: BenchResults): string {
  const panels = plotPanels(results);
  // Plain and TLS are blocks of their own, one below the other: four columns would be too wide to read on a page.
  const blocks = [false, true]
    .map((tls) => panels.filter((panel) => panel.tls === tls))
    .filter((block) => block.length > 0);
  const columns = Math.max(1, ...blocks.map((block) => block.length));
  const width =
    MARGIN.left + MARGIN.right + columns * (PANEL.left + PANEL.width) + (columns - 1) * GAP.x;
  const rowHeight = PANEL.top + PANEL.height + GAP.y;
  const rows = 2 * Math.max(1, blocks.length);
  const height = MARGIN.top + rows * rowHeight - GAP.y + MARGIN.bottom;
  const parts = blocks.flatMap((block, index) =>
    block.flatMap((panel, column) => {
      const x = MARGIN.left + PANEL.left + column * (PANEL.left + PANEL.width + GAP.x);
      const y = MARGIN.top + PANEL.top + 2 * index * rowHeight;
      return [throughputPanel(panel, x, y), cpuPanel(panel, x, y + rowHeight)];
    }),
  );
  const { machine, versions, settings } = results;
  const foot =
    `GET and SET, ${settings.valueBytes}-byte values, ${settings.keys.toLocaleString('en')} keys, ` +
    `${settings.shards} shards; load generator on the same ${machine.cores} cores; ` +
    `${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ${FONT} fill="${INK}">
<title>Springtide bench, ${results.startedAt.slice(0, 10)}</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${text(MARGIN.left, 34, 'Throughput and CPU of one endpoint over Valkey nodes', { size: 20, weight: 600 })}
${text(MARGIN.left, 56, `Medians of ${settings.repetitions * 2} runs a point (GET and SET), lines from the lowest to the highest ratio; ${results.startedAt.slice(0, 10)}`, { size: 13, colour: '#595959' })}
${legend(panels, width)}
${parts.join('\n')}
${footer(foot, width, height)}
</svg>
`;
}

function throughputPanel(panel: PlotPanel, x: number, y: number): string {
  const { maximum } = panel.throughputAxis;
  const toY = (value: number): number => y + PANEL.height * (1 - value / maximum);
  const group = PANEL.width / panel.clients.length;
  const drawn = panel.series.filter((series) =>
    series.throughput.some((spread) => spread !== null),
  );
  const shapes = drawn.map((series, index) => {
    const style = styleOf(series.target);
    // Side by side within the group, so that spreads do not lie on one another.
    const offset = (index - (drawn.length - 1) / 2) * Math.min(12, group / (drawn.length + 2));
    const points = series.throughput.flatMap((spread, column) =>
      spread === null ? [] : [{ px: x + group * (column + 0.5) + offset, spread }],
    );
    const path = points
      .map(({ px, spread }) => `${round(px)},${round(toY(spread.median))}`)
      .join(' ');
    const marks = points.map(
      ({ px, spread }) =>
        `<line x1="${round(px)}" x2="${round(px)}" y1="${round(toY(spread.low))}" y2="${round(toY(spread.high))}" stroke-opacity="0.45"/>${marker(style, px, toY(spread.median))}`,
    );
    return `<g stroke="${style.colour}" stroke-width="1.6" fill="none"><title>${escape(series.label)}</title><polyline points="${path}" stroke-opacity="0.75"/>${marks.join('')}</g>`;
  });
  const one = toY(1);
  return [
    frame(
      panel,
      x,
      y,
      panel.throughputAxis.ticks,
      toY,
      `${panel.title}: throughput, ratio to direct`,
    ),
    `<line x1="${x}" x2="${x + PANEL.width}" y1="${round(one)}" y2="${round(one)}" stroke="#595959" stroke-width="1.5" stroke-dasharray="5 4"/>`,
    ...shapes,
  ].join('\n');
}

function cpuPanel(panel: PlotPanel, x: number, y: number): string {
  const { maximum } = panel.cpuAxis;
  // Room above the highest bar for its figure.
  const toY = (value: number): number => y + PANEL.height * (1 - value / (maximum * 1.12));
  const group = PANEL.width / panel.clients.length;
  const bar = Math.min(28, (group * 0.84) / panel.series.length);
  const bars = panel.series.flatMap((series, index) =>
    series.cpu.flatMap((cpu, column) => {
      if (cpu === null) return [];
      const left = x + group * (column + 0.5) + (index - panel.series.length / 2) * bar;
      return [cpuBar(series, left, bar, cpu, toY)];
    }),
  );
  return [
    frame(
      panel,
      x,
      y,
      panel.cpuAxis.ticks,
      toY,
      `${panel.title}: CPU seconds per million requests`,
    ),
    ...bars,
  ].join('\n');
}

function cpuBar(
  series: PlotSeries,
  left: number,
  width: number,
  cpu: { readonly proxy: number; readonly node: number },
  toY: (value: number) => number,
): string {
  const { colour } = styleOf(series.target);
  const total = cpu.proxy + cpu.node;
  const inner = round(width - 2);
  const rect = (from: number, to: number, fill: string): string =>
    `<rect x="${round(left + 1)}" y="${round(toY(to))}" width="${inner}" height="${round(toY(from) - toY(to))}" fill="${fill}"/>`;
  const middle = left + width / 2;
  const figure = `<text transform="translate(${round(middle + 3.5)} ${round(toY(total) - 4)}) rotate(-90)" font-size="10">${total.toFixed(1)}</text>`;
  return `<g><title>${escape(series.label)}: proxy ${cpu.proxy.toFixed(1)}, nodes ${cpu.node.toFixed(1)}</title>${rect(0, cpu.node, tint(colour))}${rect(cpu.node, total, colour)}${figure}</g>`;
}

function frame(
  panel: PlotPanel,
  x: number,
  y: number,
  ticks: readonly number[],
  toY: (value: number) => number,
  title: string,
): string {
  const group = PANEL.width / panel.clients.length;
  return [
    text(x, y - 12, title, { size: 14, weight: 600 }),
    ...ticks.flatMap((tick) => [
      `<line x1="${x}" x2="${x + PANEL.width}" y1="${round(toY(tick))}" y2="${round(toY(tick))}" stroke="${tick === 0 ? INK : FAINT}"/>`,
      text(x - 8, toY(tick) + 4, String(tick), { size: 12, anchor: 'end' }),
    ]),
    ...panel.clients.map((count, column) =>
      text(x + group * (column + 0.5), y + PANEL.height + 18, String(count), {
        size: 12,
        anchor: 'middle',
      }),
    ),
    text(x + PANEL.width / 2, y + PANEL.height + 35, 'clients', {
      size: 12,
      anchor: 'middle',
      colour: '#595959',
    }),
  ].join('\n');
}

function legend(panels: readonly PlotPanel[], width: number): string {
  const names = new Map(
    panels.flatMap((panel) => panel.series.map((series) => [series.target, series.label])),
  );
  let x = MARGIN.left;
  let y = 84;
  const place = (itemWidth: number): { x: number; y: number } => {
    if (x + itemWidth > width - MARGIN.right && x > MARGIN.left) {
      x = MARGIN.left;
      y += 22;
    }
    const at = { x, y };
    x += itemWidth;
    return at;
  };
  const entries = [...names].map(([target, label]) => {
    const at = place(46 + label.length * 7.1);
    const style = styleOf(target);
    const sign =
      target === BASELINE
        ? `<line x1="${at.x}" x2="${at.x + 16}" y1="${at.y - 4}" y2="${at.y - 4}" stroke="${style.colour}" stroke-width="2" stroke-dasharray="5 3"/>`
        : marker(style, at.x + 8, at.y - 4);
    return sign + text(at.x + 21, at.y, label, { size: 13 });
  });
  const key = place(250);
  entries.push(
    `<rect x="${key.x}" y="${key.y - 11}" width="13" height="13" fill="#595959"/>`,
    text(key.x + 18, key.y, 'CPU of the proxy', { size: 13 }),
    `<rect x="${key.x + 135}" y="${key.y - 11}" width="13" height="13" fill="${tint('#595959')}"/>`,
    text(key.x + 153, key.y, 'of the nodes', { size: 13 }),
  );
  return entries.join('\n');
}

function footer(line: string, width: number, height: number): string {
  // About 5.9 units a character at this size; long version lists wrap.
  const perLine = Math.floor((width - MARGIN.left - MARGIN.right) / 5.9);
  const lines: string[] = [''];
  for (const word of line.split(' ')) {
    if (`${lines.at(-1)} ${word}`.length > perLine) lines.push(word);
    else lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  }
  return lines
    .map((part, index) =>
      text(MARGIN.left, height - 12 - (lines.length - 1 - index) * 15, part, {
        size: 11,
        colour: '#595959',
      }),
    )
    .join('\n');
}

function marker({ colour, marker: kind }: Style, x: number, y: number): string {
  const paint = `fill="${colour}" stroke="#ffffff" stroke-width="1"`;
  const polygon = (...points: [number, number][]): string =>
    `<polygon points="${points.map(([dx, dy]) => `${round(x + dx)},${round(y + dy)}`).join(' ')}" ${paint}/>`;
  switch (kind) {
    case 'circle':
      return `<circle cx="${round(x)}" cy="${round(y)}" r="5" ${paint}/>`;
    case 'square':
      return polygon([-4.5, -4.5], [4.5, -4.5], [4.5, 4.5], [-4.5, 4.5]);
    case 'triangle':
      return polygon([0, -6], [5.5, 4.5], [-5.5, 4.5]);
    case 'down':
      return polygon([0, 6], [5.5, -4.5], [-5.5, -4.5]);
    case 'diamond':
      return polygon([0, -6], [6, 0], [0, 6], [-6, 0]);
  }
}

interface TextStyle {
  readonly size: number;
  readonly weight?: number;
  readonly anchor?: 'middle' | 'end';
  readonly colour?: string;
}

function text(
  x: number,
  y: number,
  content: string,
  { size, weight, anchor, colour }: TextStyle,
): string {
  const attributes = [`x="${round(x)}"`, `y="${round(y)}"`, `font-size="${size}"`];
  if (weight !== undefined) attributes.push(`font-weight="${weight}"`);
  if (anchor !== undefined) attributes.push(`text-anchor="${anchor}"`);
  if (colour !== undefined) attributes.push(`fill="${colour}"`);
  return `<text ${attributes.join(' ')}>${escape(content)}</text>`;
}

function styleOf(target: string): Style {
  return STYLES[target] ?? OTHER;
}

/** The colour mixed with white, opaque so that grid lines do not show through. */
function tint(colour: string): string {
  const channels = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return `#${channels
    .map((channel) => Math.round(255 - (255 - channel) * 0.42))
    .map((channel) => channel.toString(16).padStart(2, '0'))
    .join('')}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
