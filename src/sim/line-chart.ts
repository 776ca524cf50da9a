/** A small SVG writer: panels of lines below one another with one time axis. Colours are Okabe and Ito's. */
export interface ChartLine {
  readonly label: string;
  readonly colour: string;
  readonly dashed?: boolean;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface ChartPanel {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  /** Logarithmic; zeros are drawn at the bottom. */
  readonly log: boolean;
  readonly format: (value: number) => string;
}

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly formatX: (value: number) => string;
  readonly panels: readonly ChartPanel[];
}

export const COLOURS = {
  grey: '#7f7f7f',
  blue: '#0072b2',
  orange: '#e69f00',
  red: '#d55e00',
  green: '#009e73',
} as const;

const WIDTH = 760;
const PANEL_HEIGHT = 150;
const LEFT = 70;
const RIGHT = 20;
const TOP = 66;
const GAP = 46;
const MOST_POINTS = 400;

/** A complete SVG document. */
export function renderChart(chart: Chart): string {
  const height = TOP + chart.panels.length * (PANEL_HEIGHT + GAP) + 18;
  const xs = chart.panels.flatMap((panel) =>
    panel.lines.flatMap((line) => line.points.map(([x]) => x)),
  );
  const from = xs.reduce((least, x) => Math.min(least, x), Number.POSITIVE_INFINITY);
  const to = xs.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
  const inner = WIDTH - LEFT - RIGHT;
  const toX = (x: number): number => LEFT + ((x - from) / Math.max(1e-9, to - from)) * inner;
  const ticks = roundTicks(from, to, 8);
  const panels = chart.panels.map((panel, index) =>
    drawPanel(panel, TOP + index * (PANEL_HEIGHT + GAP), toX, ticks),
  );
  const base = TOP + chart.panels.length * (PANEL_HEIGHT + GAP) - GAP;
  const labels = ticks.map((tick) => text(toX(tick), base + 16, chart.formatX(tick), 'middle'));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="11" fill="#1a1a1a">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
<text x="16" y="22" font-size="16" font-weight="600">${escape(chart.title)}</text>
<text x="16" y="40" fill="#595959">${escape(chart.subtitle)}</text>
${panels.join('\n')}
${labels.join('')}
${text(LEFT + inner / 2, base + 32, chart.xLabel, 'middle')}
</svg>
`;
}

function drawPanel(
  panel: ChartPanel,
  top: number,
  toX: (x: number) => number,
  xTicks: readonly number[],
): string {
  const values = panel.lines.flatMap((line) => line.points.map(([, y]) => y));
  const most = values.reduce((max, value) => Math.max(max, value), 0);
  const positive = values.filter((value) => value > 0);
  const least = positive.reduce((min, value) => Math.min(min, value), most);
  const low = panel.log ? 10 ** Math.floor(Math.log10(least || 1)) : 0;
  const yTicks = panel.log ? decades(low, most) : roundTicks(0, most, 4);
  const high = Math.max(most, yTicks.at(-1) ?? 1) || 1;
  const share = (value: number): number =>
    panel.log
      ? Math.log(Math.max(value, low) / low) / Math.max(1e-9, Math.log(high / low))
      : value / high;
  const toY = (value: number): number => top + PANEL_HEIGHT * (1 - share(value));
  const grid = yTicks.map(
    (tick) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(toY(tick))}" y2="${round(toY(tick))}" stroke="#dddddd"/>${text(LEFT - 6, toY(tick) + 4, panel.format(tick), 'end')}`,
  );
  const columns = xTicks.map(
    (tick) =>
      `<line x1="${round(toX(tick))}" x2="${round(toX(tick))}" y1="${top}" y2="${top + PANEL_HEIGHT}" stroke="#eeeeee"/>`,
  );
  const lines = panel.lines.map((line) => {
    const points = thin(line.points)
      .map(([x, y]) => `${round(toX(x))},${round(toY(y))}`)
      .join(' ');
    return `<polyline points="${points}" fill="none" stroke="${line.colour}" stroke-width="1.6"${line.dashed === true ? ' stroke-dasharray="5 3"' : ''}><title>${escape(line.label)}</title></polyline>`;
  });
  let x = LEFT + panel.title.length * 6.4 + 24;
  const legend = panel.lines.map((line) => {
    const at = x;
    x += line.label.length * 6 + 34;
    return `<line x1="${round(at)}" x2="${round(at + 16)}" y1="${top - 10}" y2="${top - 10}" stroke="${line.colour}" stroke-width="2"${line.dashed === true ? ' stroke-dasharray="5 3"' : ''}/>${text(at + 20, top - 6, line.label, 'start')}`;
  });
  return `<text x="${LEFT}" y="${top - 6}" font-weight="600">${escape(panel.title)}</text>${legend.join('')}${columns.join('')}${grid.join('')}${lines.join('')}`;
}

/** The highest of each slice: a peak that lasts one second is what the picture is about. */
function thin(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  if (points.length <= MOST_POINTS) return [...points];
  const size = points.length / MOST_POINTS;
  return Array.from({ length: MOST_POINTS }, (_, index) => {
    const slice = points.slice(Math.floor(index * size), Math.floor((index + 1) * size));
    return slice.reduce((best, point) => (point[1] > best[1] ? point : best));
  });
}

function decades(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let tick = low; tick <= high * 1.001; tick *= 10) ticks.push(Number(tick.toPrecision(3)));
  if (ticks.length < 2) ticks.push(low * 10);
  return ticks;
}

function roundTicks(from: number, to: number, count: number): number[] {
  const span = to - from;
  if (!(span > 0)) return [from];
  const magnitude = 10 ** Math.floor(Math.log10(span / count));
  const size = [1, 2, 5, 10]
    .map((factor) => factor * magnitude)
    .find((one) => span / one <= count)!;
  const first = Math.ceil(from / size);
  return Array.from({ length: Math.floor(to / size + 1e-9) - first + 1 }, (_, index) =>
    Number(((first + index) * size).toPrecision(9)),
  );
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escape(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
