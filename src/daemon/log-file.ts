/**
 * A log file that a full disk does not turn against its process. Lines are written at once, one system call each; what
 * cannot be written is kept, the newest of it, and written when there is room again, with one line that says so.
 */
import { writeSync } from 'node:fs';

const KEPT_BYTES = 1024 ** 2;
const RETRY_MS = 1_000;

export class LogFile {
  readonly #fd: number;
  readonly #write: typeof writeSync;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #lost = 0;
  /** The first of `#kept` was written up to here. */
  #written = 0;
  #failingSinceMs = 0;
  #cause = '';
  #retry: NodeJS.Timeout | null = null;

  /**
   * @param fd open for appending
   * @param write for tests: how bytes get into it
   */
  constructor(fd: number, write: typeof writeSync = writeSync) {
    this.#fd = fd;
    this.#write = write;
  }

  /** Never throws. */
  write(line: string): void {
    this.#keep(Buffer.from(line));
    this.#flush();
  }

  #keep(line: Buffer): void {
    this.#kept.push(line);
    this.#keptBytes += line.length;
    while (this.#keptBytes > KEPT_BYTES && this.#kept.length > 1) {
      // One whose beginning is in the file already is ended there, not lost.
      const [dropped] = this.#kept.splice(this.#written > 0 ? 1 : 0, 1);
      this.#keptBytes -= dropped!.length;
      this.#lost++;
    }
  }

  #flush(): void {
    let lines = 0;
    try {
      while (this.#kept.length > 0) {
        const line = this.#kept[0]!;
        this.#written += this.#write(this.#fd, line, this.#written);
        if (this.#written < line.length) continue;
        this.#kept.shift();
        this.#keptBytes -= line.length;
        this.#written = 0;
        lines++;
      }
    } catch (error) {
      this.#fails(error);
      return;
    }
    if (this.#retry !== null) this.#works(lines);
  }

  #fails(error: unknown): void {
    if (this.#retry !== null) return;
    this.#failingSinceMs = Date.now();
    this.#cause = (error as NodeJS.ErrnoException).code ?? String(error);
    this.#retry = setInterval(() => this.#flush(), RETRY_MS);
    this.#retry.unref();
  }

  #works(lines: number): void {
    clearInterval(this.#retry!);
    this.#retry = null;
    const lost = this.#lost;
    this.#lost = 0;
    const time = Date.now();
    this.write(
      `${JSON.stringify({
        level: 40,
        time,
        pid: process.pid,
        cause: this.#cause,
        failedForMs: time - this.#failingSinceMs,
        kept: lines,
        lost,
        msg: `the log can be written again: ${lines} lines were kept, ${lost} are lost`,
      })}\n`,
    );
  }
}
