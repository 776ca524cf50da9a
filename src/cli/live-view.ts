/**
 * A screen that is drawn again and again without flicker: on the alternate screen, each line overwritten in place and its
 * rest erased, the frame sent as one write inside a synchronized update. Leaves the terminal as it found it.
 */
import type { Terminal } from './terminal.ts';
import { fitLine } from './table.ts';

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const BEGIN_UPDATE = '\u001b[?2026h\u001b[H';
const END_UPDATE = '\u001b[J\u001b[?2026l';
const ERASE_REST = '\u001b[K';

/** The bytes that show `lines` on a terminal of this size. */
export function frame(lines: readonly string[], columns: number, rows: number): string {
  const shown = lines.slice(0, rows).map((line) => fitLine(line, columns) + ERASE_REST);
  return BEGIN_UPDATE + shown.join('\r\n') + END_UPDATE;
}

export class LiveView implements Disposable {
  readonly #terminal: Terminal;
  readonly #quit = new AbortController();
  #lines: readonly string[] = [];
  readonly #redraw = (): void =>
    this.#terminal.write(frame(this.#lines, this.#terminal.columns, this.#terminal.rows));
  readonly #onKey = (key: Buffer): void => {
    // q, Escape, Ctrl-C (raw mode delivers it as a byte).
    if (key[0] === 0x71 || key[0] === 0x03 || (key[0] === 0x1b && key.length === 1))
      this.#quit.abort();
  };
  readonly #onSignal = (): void => this.#quit.abort();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    terminal.write(ENTER);
    process.stdout.on('resize', this.#redraw);
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true);
      process.stdin.on('data', this.#onKey);
    }
  }

  /** Aborted when the user wants to leave. */
  get quit(): AbortSignal {
    return this.#quit.signal;
  }

  show(lines: readonly string[]): void {
    this.#lines = lines;
    this.#redraw();
  }

  [Symbol.dispose](): void {
    process.stdout.off('resize', this.#redraw);
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
    if (process.stdin.isTTY) {
      process.stdin.off('data', this.#onKey);
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
    this.#terminal.write(LEAVE);
  }
}
