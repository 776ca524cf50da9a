/**
 * The one buffer that every connection of a process reads into. What stands in it holds only while its event is handled:
 * whoever needs it longer copies it.
 */
import type { TLSSocket } from 'node:tls';

const READ_BYTES = 64 * 1024;

export class ReadBuffer {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);

  /**
   * Makes a TLS socket read into this buffer, as `onread` does for a plain one: the runtime has no option for it on the
   * server's side, so the socket is told the way that its own constructor does. (bench: TLS at pipeline 1; without it
   * every read makes an ArrayBuffer, and the collector takes a fifth of the CPU.)
   * @returns false when this runtime's sockets are made differently: then `'data'` events have to do
   */
  adoptTls(socket: TLSSocket, callback: (length: number) => boolean): boolean {
    const holder = socket as unknown as Record<symbol, unknown> & {
      _handle: { useUserBuffer?: (bytes: Buffer) => void } | null;
    };
    const symbols = new Map(
      Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]),
    );
    const buffer = symbols.get('kBuffer');
    const bufferCallback = symbols.get('kBufferCb');
    const generator = symbols.get('kBufferGen');
    const handle = holder._handle;
    if (!buffer || !bufferCallback || !generator || typeof handle?.useUserBuffer !== 'function')
      return false;
    holder[buffer] = this.bytes;
    holder[bufferCallback] = callback;
    holder[generator] = null;
    handle.useUserBuffer(this.bytes);
    return true;
  }
}
