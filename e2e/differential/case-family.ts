/**
 * Cases of the differential test, and how two replies are compared. A case is one command on a line, in inline syntax. Keys
 * share the tag {a} where a sharded cache is to have them in one slot. A line may begin with
 *
 *   ~  the same elements, in any order
 *   ?  the same type of reply only: time, ids, random choice
 */
import { splitInline } from '../../src/protocol/inline-request.ts';
import { decodeReply, encodeReply, itemsOf, RespMap } from '../../src/protocol/resp-value.ts';

export interface CaseFamily {
  readonly name: string;
  /** The cases, in the order in which they are sent; a line that begins with `//` is none. */
  readonly lines: string;
  /** Only for caches of this kind; both when absent. */
  readonly only?: 'sharded' | 'unsharded';
}

export type Comparison = 'exact' | 'any order' | 'type only';

export interface Case {
  readonly line: string;
  readonly words: readonly Buffer[];
  readonly comparison: Comparison;
}

const MARKS: Readonly<Record<string, Comparison>> = { '~ ': 'any order', '? ': 'type only' };

export function casesOf(family: CaseFamily): Case[] {
  return family.lines
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('//'))
    .map((line) => {
      const comparison = MARKS[line.slice(0, 2)] ?? 'exact';
      const words = splitInline(Buffer.from(comparison === 'exact' ? line : line.slice(2)));
      if (words === null) throw new Error(`quotes do not close in: ${line}`);
      return { line, words, comparison };
    });
}

/** Null when the replies are equal as far as the case asks for; else both, readable. */
export function differenceOf(
  each: Case,
  expected: Buffer | null,
  actual: Buffer | null,
): string | null {
  if (expected !== null && actual !== null && same(each.comparison, expected, actual)) return null;
  return `${each.line}\n    server: ${show(expected)}\n    proxy:  ${show(actual)}`;
}

function same(comparison: Comparison, expected: Buffer, actual: Buffer): boolean {
  if (comparison === 'exact') return expected.equals(actual);
  if (comparison === 'type only') return expected[0] === actual[0];
  return sorted(expected).join() === sorted(actual).join();
}

/** The type, and the elements of every array, set and map in it in an order of their own. */
function sorted(reply: Buffer): string[] {
  const value = decodeReply(reply);
  const parts = value instanceof RespMap ? value.pairs.map((pair) => [...pair]) : itemsOf(value);
  return [
    String.fromCharCode(reply[0]!),
    ...parts.map((part) => {
      const bytes = encodeReply(part, 3);
      return itemsOf(part).length > 0 ? sorted(bytes).join() : bytes.toString('hex');
    }).sort(),
  ]; // prettier-ignore
}

function show(reply: Buffer | null): string {
  return reply === null ? 'closed' : JSON.stringify(reply.toString('latin1').slice(0, 400));
}
