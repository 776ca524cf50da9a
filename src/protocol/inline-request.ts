/**
 * Inline commands: a line of words instead of RESP, for people on telnet. The rules of quoting are the engine's
 * sdssplitargs (sds.c) as of 9.1: "..." with \n \r \t \b \a \xHH escapes, '...' with \' only; a word goes on after its
 * closing quote (before 9.1 that was an error); a quote that is the last byte of the line closes, whatever is before it.
 */
import { encodeRequest } from './request-encoder.ts';

const SPACE = 32;
const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;
const LOWER_X = 120;

/** Escapes of the double-quoted form, by the byte after the backslash. */
const ESCAPES: Readonly<Record<number, number>> = { 110: 10, 114: 13, 116: 9, 98: 8, 97: 7 };

/**
 * Splits `line` into words.
 * @returns the words, or null when quotes are not balanced ("ERR Protocol error: unbalanced quotes in request")
 */
export function splitInline(line: Uint8Array): Buffer[] | null {
  const words: Buffer[] = [];
  let pos = 0;
  for (;;) {
    while (pos < line.length && isSpace(line[pos]!)) pos++;
    if (pos >= line.length || line[pos] === 0) return words;
    const word: number[] = [];
    let quote = 0;
    for (; ; pos++) {
      const byte = pos < line.length ? line[pos]! : 0;
      if (quote === DOUBLE_QUOTE) {
        if (byte === 0) return null;
        if (
          byte === BACKSLASH &&
          line[pos + 1] === LOWER_X &&
          isHex(line[pos + 2]) &&
          isHex(line[pos + 3])
        ) {
          word.push(hexValue(line[pos + 2]!) * 16 + hexValue(line[pos + 3]!));
          pos += 3;
        } else if (byte === BACKSLASH && pos + 2 < line.length) {
          pos++;
          word.push(ESCAPES[line[pos]!] ?? line[pos]!);
        } else if (byte === DOUBLE_QUOTE) {
          quote = 0;
        } else {
          word.push(byte);
        }
      } else if (quote === SINGLE_QUOTE) {
        if (byte === 0) return null;
        if (byte === BACKSLASH && line[pos + 1] === SINGLE_QUOTE && pos + 2 < line.length) {
          pos++;
          word.push(SINGLE_QUOTE);
        } else if (byte === SINGLE_QUOTE) {
          quote = 0;
        } else {
          word.push(byte);
        }
      } else if (byte === 0 || byte === SPACE || byte === 10 || byte === 13 || byte === 9) {
        break;
      } else if (byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE) {
        quote = byte;
      } else {
        word.push(byte);
      }
    }
    words.push(Buffer.from(word));
  }
}

/** The same request in RESP, or null when quotes are not balanced. An empty line gives an empty buffer. */
export function inlineToResp(line: Uint8Array): Buffer | null {
  const words = splitInline(line);
  if (words === null) return null;
  return words.length === 0 ? Buffer.alloc(0) : encodeRequest(words);
}

/** isspace() of the C locale. */
function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 9 && byte <= 13);
}

function isHex(byte: number | undefined): boolean {
  return byte !== undefined && hexValue(byte) >= 0;
}

function hexValue(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
