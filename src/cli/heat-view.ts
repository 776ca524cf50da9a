/** The lines of `springtide heat`: pure functions of what the API said. */
import { formatBytes, formatCount } from '../lib/human-units.ts';
import type { CacheHeatAnswer, NodeHeat, SlotMeasure } from '../model/heat.ts';
import { formatTable, widthOf, type Column } from './table.ts';
import type { Style, Terminal } from './terminal.ts';
import { SLOT_COUNT } from '../model/slot-range.ts';

const MAP_ROWS = 16;
/** Widest first; a row of the map, its slot number and its shards must fit. */
const MAP_WIDTHS = [128, 64, 32];
const MAP_MARGIN = 24;
const SHADES = [...'▁▂▃▄▅▆▇█'];
/** Some load, but too little for the first shade. */
const FAINT = '·';
const SHADE_STYLES: readonly Style[] = [
  'cyan', 'cyan', 'cyan', 'green', 'green', 'yellow', 'yellow', 'red',
]; // prettier-ignore
const TOP_SLOTS = 10;
const TOP_KEYS = 10;
/** The bar gives way where the terminal is narrow. */
const BAR_WIDTH = { most: 20, least: 5 };
const KEY_SHOWN = 48;
const SHARDS_SHOWN = 4;

const MEASURE_TITLES: Readonly<Record<SlotMeasure, string>> = {
  requests: 'requests/s',
  ecpu: 'ECPU/s',
  bytesIn: 'bytes/s in',
  bytesOut: 'bytes/s out',
};

export function heatLines(
  heat: CacheHeatAnswer,
  measure: SlotMeasure,
  terminal: Terminal,
): string[] {
  const { total } = heat;
  return [
    `${terminal.paint('bold', heat.cache)}  ${formatCount(total.requests)} requests/s, ${formatCount(total.ecpu)} ECPU/s, ` +
      `${formatBytes(total.bytesIn)}/s in, ${formatBytes(total.bytesOut)}/s out`,
    '',
    ...mapLines(heat, measure, terminal),
    '',
    ...nodeLines(heat, terminal),
    '',
    ...slotLines(heat, measure, terminal),
    ...keyLines(heat, terminal),
  ];
}

// ---- the map ---------------------------------------------------------------------------------------------------------

function mapLines(heat: CacheHeatAnswer, measure: SlotMeasure, terminal: Terminal): string[] {
  const width =
    MAP_WIDTHS.find((each) => each + MAP_MARGIN <= terminal.columns) ?? MAP_WIDTHS.at(-1)!;
  const perCell = SLOT_COUNT / (width * MAP_ROWS);
  const values = heat.smoothed[measure];
  const cells = Array.from({ length: width * MAP_ROWS }, (_, cell) =>
    sum(values.slice(cell * perCell, (cell + 1) * perCell)),
  );
  const hottest = Math.max(...cells);
  const rows = Array.from({ length: MAP_ROWS }, (_, row) => {
    const first = row * width * perCell;
    const drawn = cells
      .slice(row * width, (row + 1) * width)
      .map((value) => drawCell(value, hottest, terminal))
      .join('');
    const owners = ownersOf(heat.owners.slice(first, first + width * perCell));
    return `${terminal.paint('dim', String(first).padStart(5))} ${drawn} ${terminal.paint('dim', owners)}`;
  });
  const unit = measure.startsWith('bytes') ? formatBytes : formatCount;
  return [
    `${terminal.paint('bold', ' SLOT')} ${`a cell is ${perCell} slots, by ${MEASURE_TITLES[measure]}`.padEnd(width)} ${terminal.paint('bold', 'SHARDS')}`,
    ...rows,
    hottest === 0 ? '      no load' : `      ${legend(hottest, unit, terminal)}`,
  ];
}

/** Each shade begins at twice what the one before it does; the hottest cell ends the last. */
function levelOf(value: number, hottest: number): number {
  return SHADES.length - 1 - Math.floor(Math.log2(hottest / value));
}

function drawCell(value: number, hottest: number, terminal: Terminal): string {
  // What has cooled down is never quite nothing.
  if (value < 0.05) return ' ';
  const level = levelOf(value, hottest);
  return level < 0
    ? terminal.paint('dim', FAINT)
    : terminal.paint(SHADE_STYLES[level]!, SHADES[level]!);
}

/** What each shade begins at, and what the hottest cell has. */
function legend(hottest: number, unit: (value: number) => string, terminal: Terminal): string {
  const shades = SHADES.map((shade, level) => {
    const from = hottest / 2 ** (SHADES.length - level);
    return `${terminal.paint(SHADE_STYLES[level]!, shade)} ${unit(from)}`;
  });
  return `${[`${terminal.paint('dim', FAINT)} less`, ...shades].join('  ')} to ${unit(hottest)}`;
}

/** `0`, `0 7`: the shards that own the slots of a row, `?` where nobody is known to. */
function ownersOf(owners: readonly number[]): string {
  const shards = [...new Set(owners)].sort((a, b) => a - b);
  const words = shards.map((shard) => (shard < 0 ? '?' : String(shard)));
  if (words.length <= SHARDS_SHOWN) return words.join(' ');
  return `${words.slice(0, SHARDS_SHOWN - 1).join(' ')} … ${words.at(-1)}`;
}

// ---- nodes, slots, keys ------------------------------------------------------------------------------------------------

function nodeLines(heat: CacheHeatAnswer, terminal: Terminal): string[] {
  const columns: Column[] = [
    { title: 'SHARD', align: 'right' },
    { title: 'NODE' },
    { title: 'ROLE' },
    { title: 'MAIN THREAD' },
    { title: 'I/O', align: 'right' },
    { title: 'ECPU/S', align: 'right' },
    { title: 'SLOTS', align: 'right' },
    { title: 'KEYS', align: 'right' },
    { title: 'MEMORY', align: 'right' },
    { title: 'IN/S', align: 'right' },
    { title: 'OUT/S', align: 'right' },
    { title: 'LAG', align: 'right' },
  ];
  const nodes = [...heat.nodes].sort((a, b) => a.shard - b.shard || a.role.localeCompare(b.role));
  const table = (barWidth: number) =>
    formatTable(columns, nodeRows(nodes, barWidth, terminal), (text) =>
      terminal.paint('bold', text),
    );
  const excess = Math.max(...table(BAR_WIDTH.most).map(widthOf)) - terminal.columns;
  return excess <= 0
    ? table(BAR_WIDTH.most)
    : table(Math.max(BAR_WIDTH.least, BAR_WIDTH.most - excess));
}

function nodeRows(nodes: readonly NodeHeat[], barWidth: number, terminal: Terminal): string[][] {
  return nodes.map((node) => [
    String(node.shard),
    node.nodeId,
    node.role,
    bar(node.utilisation, barWidth, terminal),
    known(node.ioThreads, String),
    node.role === 'primary' ? formatCount(node.ecpuPerSecond) : '-',
    node.role === 'primary' ? String(node.slots) : '-',
    known(node.keys, formatCount),
    memoryWords(node),
    known(node.networkInPerSecond, formatBytes),
    known(node.networkOutPerSecond, formatBytes),
    known(node.replicationLagBytes, formatBytes),
  ]);
}

function bar(part: number | null, width: number, terminal: Terminal): string {
  if (part === null) return '-';
  const filled = Math.round(Math.min(1, part) * width);
  const style: Style = part >= 0.85 ? 'red' : part >= 0.6 ? 'yellow' : 'green';
  const rest = terminal.paint('dim', '░'.repeat(width - filled));
  const percent = `${Math.round(part * 100)} %`.padStart(5);
  return `${terminal.paint(style, '█'.repeat(filled))}${rest} ${percent}`;
}

function memoryWords({ usedMemoryBytes, memoryMaximumBytes }: NodeHeat): string {
  if (usedMemoryBytes === null) return '-';
  const limit = memoryMaximumBytes ? ` of ${formatBytes(memoryMaximumBytes)}` : '';
  return `${formatBytes(usedMemoryBytes)}${limit}`;
}

function slotLines(heat: CacheHeatAnswer, measure: SlotMeasure, terminal: Terminal): string[] {
  const { smoothed, total } = heat;
  const hottest = smoothed[measure]
    .map((value, slot) => ({ slot, value }))
    .filter(({ value }) => value >= 0.05)
    .sort((a, b) => b.value - a.value)
    .slice(0, TOP_SLOTS);
  if (hottest.length === 0) return [];
  const all = Math.max(total[measure], sum(smoothed[measure]));
  const columns: Column[] = [
    { title: 'TOP SLOTS', align: 'right' },
    { title: 'SHARD', align: 'right' },
    { title: 'SHARE', align: 'right' },
    { title: 'REQUESTS/S', align: 'right' },
    { title: 'ECPU/S', align: 'right' },
    { title: 'IN/S', align: 'right' },
    { title: 'OUT/S', align: 'right' },
    { title: 'CPU', align: 'right' },
    { title: 'KEYS', align: 'right' },
    { title: 'MEMORY', align: 'right' },
  ];
  const rows = hottest.map(({ slot, value }) => [
    String(slot),
    heat.owners[slot]! < 0 ? '?' : String(heat.owners[slot]),
    `${((value * 100) / all).toFixed(1)} %`,
    formatCount(smoothed.requests[slot]!),
    formatCount(smoothed.ecpu[slot]!),
    formatBytes(smoothed.bytesIn[slot]!),
    formatBytes(smoothed.bytesOut[slot]!),
    `${(heat.cpuUsPerSecond[slot]! / 1e4).toFixed(1)} %`,
    formatCount(heat.keys[slot]!),
    formatBytes(heat.memoryBytes[slot]!),
  ]);
  return formatTable(columns, rows, (text) => terminal.paint('bold', text));
}

function keyLines(heat: CacheHeatAnswer, terminal: Terminal): string[] {
  const keys = heat.hotKeys
    .filter(({ readsPerSecond, writesPerSecond }) => readsPerSecond + writesPerSecond >= 1)
    .slice(0, TOP_KEYS);
  if (keys.length === 0) return [];
  const columns: Column[] = [
    { title: 'TOP KEYS OF HOT SLOTS' },
    { title: 'SLOT', align: 'right' },
    { title: 'READS/S', align: 'right' },
    { title: 'WRITES/S', align: 'right' },
  ];
  const rows = keys.map(({ keyHex, slot, readsPerSecond, writesPerSecond }) => [
    printable(keyHex),
    String(slot),
    formatCount(readsPerSecond),
    formatCount(writesPerSecond),
  ]);
  return ['', ...formatTable(columns, rows, (text) => terminal.paint('bold', text))];
}

/** A key may be any bytes: what is not printable ASCII is shown as valkey-cli shows it. */
function printable(keyHex: string): string {
  const text = keyHex
    .match(/../g)
    ?.map((hex) => {
      const code = Number.parseInt(hex, 16);
      return code >= 0x20 && code < 0x7f && code !== 0x5c ? String.fromCharCode(code) : `\\x${hex}`;
    })
    .join('');
  if (text === undefined) return '""';
  return text.length > KEY_SHOWN ? `${text.slice(0, KEY_SHOWN - 1)}…` : text;
}

function known<T>(value: T | null, format: (value: T) => string): string {
  return value === null ? '-' : format(value);
}

function sum(values: readonly number[]): number {
  return values.reduce((so, value) => so + value, 0);
}
