/**
 * The commands between MULTI and EXEC, as bytes: a client may queue millions of small ones, and each as an object would cost
 * the proxy many times what it cost the client. What the proxy has a part in is found in its bytes again at EXEC.
 */
import { RequestScanner } from '../protocol/request-scanner.ts';
import type { PlannedCommand } from './command-book.ts';
import { ByteList } from './io/byte-list.ts';
import type { Call } from './command-handler.ts';

/** What a queued command is counted as beside its bytes: about what a node makes of a short one (multi.c, multiCmd). */
export const QUEUED_COMMAND_BYTES = 160;

/** A command that the proxy answers, or whose reply it puts right. */
export interface OwnCommand {
  /** Its place in the queue. */
  readonly index: number;
  /** The proxy answers it and no node gets it; false: a node executes it, and the reply is mended. */
  readonly answered: boolean;
  readonly call: Call;
}

export class CommandQueue {
  length = 0;
  /** Of these the proxy answers so many. */
  answered = 0;
  /** The replies to so many others are put right. */
  mended = 0;
  /** ECPU that they cost at least. */
  weight = 0;
  /** All that a node gets may be sent to it again. */
  repeatable = true;
  /** Scripts that are run by their names (40 lower-case hex digits); null: none. */
  scripts: Set<string> | null = null;
  /** For a node, in order. */
  #sent = new ByteList();
  /** What the proxy has a part in; the arrays have an element for each. */
  #own: ByteList | null = null;
  readonly #ownIndex: number[] = [];
  readonly #ownPlanned: PlannedCommand[] = [];
  readonly #ownAnswered: boolean[] = [];

  /** Bytes that go to the node. */
  get sentBytes(): number {
    return this.#sent.sizeBytes;
  }

  /** What is held for it. */
  get sizeBytes(): number {
    return this.#sent.sizeBytes + (this.#own?.sizeBytes ?? 0) + this.length * QUEUED_COMMAND_BYTES;
  }

  /** A node executes it: `buf[start, end)` is copied. */
  send(planned: PlannedCommand, buf: Buffer, start: number, end: number): void {
    this.#sent.append(buf, start, end);
    this.repeatable &&= planned.repeatable;
    this.weight += planned.weight;
    this.length++;
  }

  /** As `send`, and the proxy puts the reply right. */
  mend(planned: PlannedCommand, buf: Buffer, start: number, end: number): void {
    this.#keepOwn(planned, buf, start, end, false);
    this.mended++;
    this.send(planned, buf, start, end);
  }

  /** The proxy answers it. */
  answer(planned: PlannedCommand, buf: Buffer, start: number, end: number): void {
    this.#keepOwn(planned, buf, start, end, true);
    this.answered++;
    this.weight += planned.weight;
    this.length++;
  }

  /** What goes to the node. */
  sentParts(): Buffer[] {
    return this.#sent.parts();
  }

  /** What goes to the node stands elsewhere now, or need not go there any more. */
  dropSent(): void {
    this.#sent = new ByteList();
  }

  /** What the proxy has a part in, in order. */
  *own(): Generator<OwnCommand> {
    if (this.#own === null) return;
    const all = Buffer.concat(this.#own.parts());
    const scanner = new RequestScanner();
    // It was short enough when it came.
    scanner.bulkMaximumBytes = Number.MAX_SAFE_INTEGER;
    let start = 0;
    for (let i = 0; i < this.#ownIndex.length; i++) {
      const planned = this.#ownPlanned[i]!;
      scanner.begin(start);
      scanner.scan(all, all.length);
      const { argStart, argEnd, end } = scanner;
      const call: Call = {
        planned,
        command: planned.command,
        args: Array.from({ length: scanner.argc }, (_, arg) =>
          all.subarray(argStart[arg], argEnd[arg]),
        ),
        bytes: all.subarray(start, end),
      };
      yield { index: this.#ownIndex[i]!, answered: this.#ownAnswered[i]!, call };
      start = end;
    }
  }

  #keepOwn(
    planned: PlannedCommand,
    buf: Buffer,
    start: number,
    end: number,
    answered: boolean,
  ): void {
    (this.#own ??= new ByteList()).append(buf, start, end);
    this.#ownIndex.push(this.length);
    this.#ownPlanned.push(planned);
    this.#ownAnswered.push(answered);
  }
}
