/** Lines over time as an SVG: panels one below the other on one time axis. Colours as in plot.ts. */
import { axisUpTo } from '../plot-model.ts';

export interface ChartLine {
  readonly label: string;
  /** Seconds, value; in order of time. */
  readonly points: readonly (readonly [number, number])[];
  /** Holds its value until the next point: numbers of things. */
  readonly steps?: boolean;
}

export interface ChartPanel {
  readonly title: string;
  readonly lines: readonly ChartLine[];
}

export interface Chart {
  /** Of the file, without its ending. */
  readonly name: string;
  readonly title: string;
  readonly subtitle: string;
  readonly panels: readonly ChartPanel[];
  readonly marks?: readonly { readonly atSeconds: number; readonly label: string }[];
}

const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#595959'];
const WIDTH = 920;
const LEFT = 78;
const RIGHT = 190;
const TOP = 84;
const PANEL_HEIGHT = 150;
const GAP = 46;
const FONT = "font-family=\"'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif\"";

/** A complete SVG document. */
export function renderChart(chart: Chart): string {
  const all = chart.panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points));
  const endSeconds = Math.max(1, ...all.map(([atSeconds]) => atSeconds));
  const height = TOP + chart.panels.length * (PANEL_HEIGHT + GAP) + 10;
  const toX = (atSeconds: number) => LEFT + ((WIDTH - LEFT - RIGHT) * atSeconds) / endSeconds;
  const bottom = TOP + chart.panels.length * (PANEL_HEIGHT + GAP) - GAP;
  const marks = (chart.marks ?? []).map(
    ({ atSeconds, label }) =>
      `<g><title>${escape(label)}</title><line x1="${n(toX(atSeconds))}" x2="${n(toX(atSeconds))}" y1="${TOP}" y2="${bottom}" stroke="#bbbbbb" stroke-dasharray="2 3"/></g>`,
  );
  const panels = chart.panels.map((panel, index) =>
    renderPanel(panel, TOP + index * (PANEL_HEIGHT + GAP), toX, endSeconds),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ${FONT} fill="#1a1a1a">
<title>${escape(chart.title)}</title>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${text(20, 30, chart.title, 'font-size="18" font-weight="600"')}
${text(20, 50, chart.subtitle, 'font-size="12" fill="#595959"')}
${marks.join('\n')}
${panels.join('\n')}
</svg>
`;
}

function renderPanel(
  { title, lines }: ChartPanel,
  top: number,
  toX: (atSeconds: number) => number,
  endSeconds: number,
): string {
  const highest = Math.max(0, ...lines.flatMap(({ points }) => points.map(([, value]) => value)));
  const { maximum, ticks } = axisUpTo(highest);
  const toY = (value: number) => top + PANEL_HEIGHT * (1 - value / maximum);
  const right = toX(endSeconds);
  const grid = ticks.map(
    (tick) =>
      `<line x1="${LEFT}" x2="${n(right)}" y1="${n(toY(tick))}" y2="${n(toY(tick))}" stroke="${tick === 0 ? '#1a1a1a' : '#e3e3e3'}"/>` +
      text(LEFT - 8, toY(tick) + 4, tick.toLocaleString('en'), 'font-size="11" text-anchor="end"'),
  );
  const seconds = axisUpTo(endSeconds).ticks.filter((tick) => tick <= endSeconds);
  const axis = seconds.map((tick) =>
    text(toX(tick), top + PANEL_HEIGHT + 16, `${tick} s`, 'font-size="11" text-anchor="middle"'),
  );
  const drawn = lines.map((line, index) => {
    const colour = COLOURS[index % COLOURS.length]!;
    const path = pathOf(line, toX, toY);
    return (
      `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.6"/>` +
      text(right + 12, top + 14 + index * 17, line.label, `font-size="12" fill="${colour}"`)
    );
  });
  return [
    text(LEFT, top - 10, title, 'font-size="13" font-weight="600"'),
    ...grid,
    ...axis,
    ...drawn,
  ].join('\n');
}

function pathOf(
  { points, steps }: ChartLine,
  toX: (atSeconds: number) => number,
  toY: (value: number) => number,
): string {
  return points
    .map(([atSeconds, value], index) => {
      const [x, y] = [n(toX(atSeconds)), n(toY(value))];
      if (index === 0) return `M${x} ${y}`;
      return steps ? `H${x}V${y}` : `L${x} ${y}`;
    })
    .join('');
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${n(x)}" y="${n(y)}" ${attributes}>${escape(content)}</text>`;
}

function n(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
