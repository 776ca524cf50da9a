/**
 * The engine's glob patterns (util.c, stringmatchlen): `*`, `?`, `[a-c]`, `[^x]`, `\` before a byte that means itself. Strings are
 * latin1 of the bytes. Goes back to the last `*` only, so it takes at most pattern length x text length steps.
 */
export function globMatch(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let starAt = -1;
  let starText = 0;
  while (t < text.length) {
    if (pattern[p] === '*') {
      starAt = p++;
      starText = t;
      continue;
    }
    const next = p < pattern.length ? matchOne(pattern, p, text.charCodeAt(t)) : NO_MATCH;
    if (next !== NO_MATCH) {
      p = next;
      t++;
    } else if (starAt >= 0) {
      p = starAt + 1;
      t = ++starText;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p++;
  return p >= pattern.length;
}

const NO_MATCH = -1;

/** Matches one byte against the element of the pattern at `p`. Returns the position after the element, or NO_MATCH. */
function matchOne(pattern: string, p: number, byte: number): number {
  switch (pattern[p]) {
    case '?':
      return p + 1;
    case '[':
      return matchClass(pattern, p + 1, byte);
    case '\\':
      if (p + 1 < pattern.length) p++;
      break;
    default:
  }
  return pattern.charCodeAt(p) === byte ? p + 1 : NO_MATCH;
}

/** `[...]`; one that is not closed ends with the pattern. */
function matchClass(pattern: string, p: number, byte: number): number {
  const negated = pattern[p] === '^';
  if (negated) p++;
  let match = false;
  for (; p < pattern.length && pattern[p] !== ']'; p++) {
    if (pattern[p] === '\\' && p + 1 < pattern.length) {
      p++;
      if (pattern.charCodeAt(p) === byte) match = true;
    } else if (pattern[p + 1] === '-' && p + 2 < pattern.length) {
      const first = pattern.charCodeAt(p);
      const last = pattern.charCodeAt(p + 2);
      if (byte >= Math.min(first, last) && byte <= Math.max(first, last)) match = true;
      p += 2;
    } else if (pattern.charCodeAt(p) === byte) {
      match = true;
    }
  }
  return match === negated ? NO_MATCH : p + 1;
}
