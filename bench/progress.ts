/** One line that says how far the measurements are: redrawn on a terminal, one line per repetition's cell elsewhere. */
const BAR_WIDTH = 24;

export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #startedMs = performance.now();
  #total = 0;
  #done = 0;
  #lastHeading = '';

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Adds work to the whole; call before it begins. */
  expect(runs: number): void {
    this.#total += runs;
  }

  /**
   * @param heading the larger unit; off a terminal only its changes are printed
   * @param detail what runs right now
   */
  show(heading: string, detail: string): void {
    if (!this.#out.isTTY) {
      if (heading !== this.#lastHeading) this.#out.write(`${this.#percent()} ${heading}\n`);
      this.#lastHeading = heading;
      return;
    }
    const filled = Math.round(BAR_WIDTH * this.#fraction());
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    const text = `${bar} ${this.#percent()} ${this.#remaining()} ${heading} · ${detail}`;
    // Some terminals report no width.
    this.#out.write(`\r\u001b[2K${text.slice(0, (this.#out.columns || 80) - 1)}`);
  }

  advance(runs = 1): void {
    this.#done += runs;
  }

  /** A line that stays, above the bar. */
  note(text: string): void {
    this.#out.write(this.#out.isTTY ? `\r\u001b[2K${text}\n` : `${text}\n`);
  }

  end(): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[2K');
  }

  #fraction(): number {
    return this.#total === 0 ? 0 : Math.min(1, this.#done / this.#total);
  }

  #percent(): string {
    return `${Math.floor(this.#fraction() * 100)}%`.padStart(4);
  }

  #remaining(): string {
    // Too little behind to say how much is ahead.
    if (this.#done < 3) return 'about ? left';
    const elapsedMs = performance.now() - this.#startedMs;
    const seconds = Math.round((elapsedMs / this.#done) * ((this.#total - this.#done) / 1000));
    return seconds < 90 ? `about ${seconds} s left` : `about ${Math.round(seconds / 60)} min left`;
  }
}
