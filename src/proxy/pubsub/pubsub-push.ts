/** Pub/sub pushes of a node: what they are about, and how they look to a RESP2 client. Nothing else is decoded. */

const STAR = 42;
const GREATER = 62;
const LF = 10;
const MINUS = 45;
const UNDERSCORE = 95;

export interface PubSubPush {
  /** `message`, `pmessage`, `ssubscribe`, `invalidate` ... */
  readonly event: string;
  /** The second element, latin1: channel, or pattern of a pmessage; null when it is null. */
  readonly name: string | null;
}

/** Is it a push (and not a reply that arrived on the same connection)? */
export function isPush(reply: Buffer): boolean {
  return reply[0] === GREATER;
}

/** Reads the first two elements of a push. */
export function readPush(push: Buffer): PubSubPush {
  const eventStart = lineEnd(push, lineEnd(push, 0));
  const eventEnd = eventStart + length(push, lineEnd(push, 0));
  const nameHeader = eventEnd + 2;
  const event = push.toString('latin1', eventStart, eventEnd);
  if (push[nameHeader] === UNDERSCORE || push[nameHeader + 1] === MINUS)
    return { event, name: null };
  const nameStart = lineEnd(push, nameHeader);
  return { event, name: push.toString('latin1', nameStart, nameStart + length(push, nameHeader)) };
}

/** The same message as a RESP2 client gets it: an array. Bulk strings are the same in both. */
export function asResp2(push: Buffer): Buffer {
  const copy = Buffer.from(push);
  copy[0] = STAR;
  return copy;
}

/** Position after the line that begins at `pos`. */
function lineEnd(buf: Buffer, pos: number): number {
  return buf.indexOf(LF, pos) + 1;
}

/** The number in a header line `$12\r\n`. */
function length(buf: Buffer, pos: number): number {
  let value = 0;
  for (let i = pos + 1; buf[i]! >= 48; i++) value = value * 10 + (buf[i]! - 48);
  return value;
}
