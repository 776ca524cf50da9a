/** Replies that were read in RESP3, for clients that speak RESP2. */
import {
  decodeReply,
  encodeReply,
  itemsOf,
  RespDouble,
  RespError,
  RespStatus,
  type RespValue,
} from '../../protocol/resp-value.ts';

/**
 * What the engine would have said in RESP2; null where that does not follow from the bytes: it nests arrays in one version
 * only (ZRANGE WITHSCORES). What is flat, a map of flat things among it, is the same but for its types.
 */
export function resp2Of(resp3: Buffer): Buffer | null {
  const value = decodeReply(resp3);
  const items = itemsOf(value);
  if (!(isList(value) ? items.every(isScalar) : isScalar(value))) return null;
  return encodeReply(value, 2);
}

function isList(value: RespValue): boolean {
  return typeof value === 'object' && !isScalar(value);
}

function isScalar(value: RespValue): boolean {
  return (
    value === null ||
    typeof value === 'number' ||
    typeof value === 'bigint' ||
    value instanceof Uint8Array ||
    value instanceof RespStatus ||
    value instanceof RespError ||
    value instanceof RespDouble
  );
}
