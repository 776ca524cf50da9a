/** Aligned columns and label/value blocks for a terminal. Widths ignore colour. */
import { stripVTControlCharacters } from 'node:util';

export type Alignment = 'left' | 'right';

export interface Column {
  readonly title: string;
  readonly align?: Alignment;
}

const GAP = '  ';
const ESCAPE = '\u001b';
const COLOUR_CODE = new RegExp(`(${ESCAPE}\\[[0-9;]*m)`);

/** Characters that show. */
export function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}

function pad(text: string, width: number, align: Alignment): string {
  const fill = ' '.repeat(Math.max(0, width - widthOf(text)));
  return align === 'right' ? fill + text : text + fill;
}

/**
 * Lines of a table, heading first.
 * @param heading paints the heading
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  heading: (text: string) => string = (text) => text,
): string[] {
  const widths = columns.map((column, index) =>
    Math.max(widthOf(column.title), ...rows.map((row) => widthOf(row[index] ?? ''))),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => pad(cell, widths[index]!, columns[index]?.align ?? 'left'))
      .join(GAP)
      .trimEnd();
  return [heading(line(columns.map((column) => column.title))), ...rows.map((row) => line(row))];
}

/** A label with its value, of one line or several; null is an empty line. */
export type Field = readonly [label: string, value: string | readonly string[]] | null;

/** Lines `  label  value`, values aligned; a value of several lines goes on under itself. */
export function formatFields(
  fields: readonly Field[],
  paintLabel: (text: string) => string = (text) => text,
  indent = '  ',
): string[] {
  const width = Math.max(0, ...fields.map((field) => field?.[0].length ?? 0));
  return fields.flatMap((field) => {
    if (field === null) return [''];
    const [label, value] = field;
    return (typeof value === 'string' ? [value] : value).map(
      (text, index) => indent + paintLabel((index === 0 ? label : '').padEnd(width)) + GAP + text,
    );
  });
}

/** `text` in lines of at most `columns`, broken between words; lines after the first are indented like it, and by `hang` more. */
export function wrapWords(text: string, columns: number, hang = 0): string[] {
  const indent = /^ */.exec(text)![0];
  const further = ' '.repeat(indent.length + hang);
  const lines: string[] = [];
  let line = indent;
  for (const word of text.slice(indent.length).split(' ')) {
    const isFirst = line.trim() === '';
    if (!isFirst && widthOf(line) + 1 + widthOf(word) > columns) {
      lines.push(line);
      line = further + word;
    } else line += isFirst ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** Cuts a line to `columns` visible characters; colour codes inside it survive, an ellipsis marks the cut. */
export function fitLine(line: string, columns: number): string {
  if (widthOf(line) <= columns) return line;
  let visible = 0;
  let result = '';
  // Colour codes (ESC [ ... m) have no width and are kept, so that what was switched on is switched off again.
  for (const part of line.split(COLOUR_CODE)) {
    if (part.startsWith(ESCAPE)) {
      result += part;
      continue;
    }
    for (const character of part) {
      visible += 1;
      if (visible < columns) result += character;
      else if (visible === columns) result += '…';
    }
  }
  return result;
}
