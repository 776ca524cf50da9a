/**
 * The hash slot of a key: CRC16 (XMODEM) of the key, or of what stands between the first `{` and the next `}` when that
 * is not empty, modulo 16384 (cluster specification; crc16.c and cluster.c of the engine).
 */
export const SLOT_COUNT = 16_384;

const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

const CRC16_TABLE = makeTable();

/** Slot 0..16383 of the key in `buf[start, end)`. Hot: called once for each key that is routed. */
export function hashSlot(buf: Uint8Array, start: number, end: number): number {
  let from = start;
  let to = end;
  for (let i = start; i < end; i++) {
    if (buf[i] === OPEN_BRACE) {
      for (let j = i + 1; j < end; j++) {
        if (buf[j] === CLOSE_BRACE) {
          if (j > i + 1) {
            from = i + 1;
            to = j;
          }
          break;
        }
      }
      break;
    }
  }
  let crc = 0;
  for (let i = from; i < to; i++) {
    crc = ((crc << 8) & 0xffff) ^ CRC16_TABLE[((crc >> 8) ^ buf[i]!) & 0xff]!;
  }
  return crc & (SLOT_COUNT - 1);
}

function makeTable(): Uint16Array {
  const table = new Uint16Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
    table[byte] = crc;
  }
  return table;
}
