/**
 * The one buffer that every connection of a process reads into. What stands in it holds only while its event is handled:
 * whoever needs it longer copies it.
 */
const READ_BYTES = 64 * 1024;

export class ReadBuffer {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
}
