/** What is held for one client: its requests and replies on their way, and the transaction that it collects. */
import { SMALL_BYTES, type MemoryHolder } from './io/client-memory.ts';
import type { Session } from './session.ts';

export class SessionMemory implements MemoryHolder {
  memoryCounted = false;
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** See MemoryHolder. */
  get memoryBytes(): number {
    const { input, replies, output } = this.#session;
    return input.sizeBytes + replies.sizeBytes + output.sizeBytes + this.#transactionBytes;
  }

  /** See MemoryHolder. */
  get memorySpared(): boolean {
    return this.#session.client.noEvict;
  }

  /** What is held has changed. */
  note(): void {
    const { closed, socket, service } = this.#session;
    if (!closed && !socket.destroyed) service.memory.note(this);
  }

  /** A command that may have been queued has been taken. */
  noteQueued(): void {
    if (this.#transactionBytes > SMALL_BYTES) this.note();
  }

  /** The session has gone. */
  drop(): void {
    this.#session.service.memory.drop(this);
  }

  /** One that is sending a request can be told; one that does not read cannot. */
  cutForMemory(): void {
    const { memoryBytes } = this;
    const { input, output, socket } = this.#session;
    const sending = input.sizeBytes > memoryBytes / 2 && output.sizeBytes === 0;
    input.clear();
    output.tellCut('cut the client for which most is held: all together is too much', memoryBytes);
    if (sending) this.#session.fail(OUT_OF_MEMORY);
    else socket.destroy();
  }

  get #transactionBytes(): number {
    return this.#session.client.transaction?.queued.sizeBytes ?? 0;
  }
}

const OUT_OF_MEMORY =
  'ERR this request and what other clients have under way take more memory than this endpoint may use; try again later';
