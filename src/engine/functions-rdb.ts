/**
 * The function libraries of a node as a file that the engine loads when it starts, so that they are there before its first
 * client. What FUNCTION DUMP gives is a part of such a file already: library records, then two bytes of version and eight
 * of checksum (functions.c functionDumpCommand, rdb.c rdbLoadRio).
 */

const CHECKSUM_BYTES = 8;
const OPCODE_EOF = 0xff;
/** Versions up to here have the file's old name in front (rdb.h, RDB_FOREIGN_VERSION_MIN). */
const REDIS_VERSION_LAST = 11;

/** What FUNCTION DUMP gives where there are no libraries: its last ten bytes alone. */
export const FOOTER_BYTES = 10;

/** Where the engine looks for it, in the node's directory. */
export const FUNCTIONS_FILE = 'dump.rdb';

/**
 * @param dump of FUNCTION DUMP, of an engine of the same version
 * @returns null for one without libraries
 */
export function functionsRdb(dump: Uint8Array): Buffer | null {
  if (dump.length <= FOOTER_BYTES) return null;
  const bytes = Buffer.from(dump);
  const version = bytes.readUInt16LE(bytes.length - FOOTER_BYTES);
  const magic =
    version <= REDIS_VERSION_LAST
      ? `REDIS${String(version).padStart(4, '0')}`
      : `VALKEY${String(version).padStart(3, '0')}`;
  const records = bytes.subarray(0, bytes.length - FOOTER_BYTES);
  // A checksum of zero is none.
  return Buffer.concat([
    Buffer.from(magic),
    records,
    Buffer.of(OPCODE_EOF),
    Buffer.alloc(CHECKSUM_BYTES),
  ]);
}
