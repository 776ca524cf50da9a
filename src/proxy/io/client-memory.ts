/**
 * What all clients of a process make it hold together: requests half received, replies not read, requests and replies that
 * wait. Each client has bounds of its own, but a thousand may stay just below them: when the sum passes the maximum, those
 * that hold most are cut until it does not (the engine's maxmemory-clients, networking.c evictClients). Unlike there, CLIENT
 * NO-EVICT takes nobody out of the sum: any client may say it, and then nothing would bound what all of them hold. Who has
 * said it is cut when nobody else is left.
 *
 * Only holdings worth counting are counted: a client below SMALL_BYTES costs nothing here.
 */
export interface MemoryHolder {
  /** Bytes held for this client now. */
  readonly memoryBytes: number;
  /** Not cut while there are others to cut (CLIENT NO-EVICT). */
  readonly memorySpared: boolean;
  /** Is it counted here? Written by ClientMemory only. */
  memoryCounted: boolean;
  /** Ends its connection. */
  cutForMemory(): void;
}

/** A holding that is counted. Smaller ones are bounded by the number of connections. */
export const SMALL_BYTES = 64 * 1024;
/** So much given back is worth a collection when nothing more comes: until then the dead buffers stay. */
const COLLECT_BYTES = 64 * 1024 * 1024;
const COLLECT_AFTER_MS = 1000;
/** A process that has answered nothing for so long is at rest. */
const REST_MS = 100;
/** What a connection leaves behind that held nothing: ten thousand of them are much, too. */
const CONNECTION_BYTES = 10 * 1024;

export class ClientMemory {
  readonly #maximumBytes: number;
  readonly #collect: (() => void) | null;
  readonly #answered: () => number;
  readonly #counted = new Map<MemoryHolder, number>();
  #sumBytes = 0;
  #freedBytes = 0;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param maximumBytes of all clients together
   * @param collect frees what is not referenced any more; called when much was given back and the process is at rest, for
   * the collector runs by itself only where something is allocated. Null: not wanted
   * @param answered requests that the process has answered so far: at rest the number stays
   */
  constructor(
    maximumBytes: number,
    collect: (() => void) | null = null,
    answered: () => number = () => 0,
  ) {
    this.#maximumBytes = maximumBytes;
    this.#collect = collect;
    this.#answered = answered;
  }

  get sumBytes(): number {
    return this.#sumBytes;
  }

  /** The holder's bytes have changed, so far that it matters: it is above SMALL_BYTES, or was. */
  note(holder: MemoryHolder): void {
    this.#count(holder, holder.memoryBytes);
    while (this.#sumBytes > this.#maximumBytes) {
      const largest = this.#largest();
      this.drop(largest);
      largest.cutForMemory();
    }
  }

  /** The holder's connection is gone. */
  drop(holder: MemoryHolder): void {
    if (holder.memoryCounted) this.#count(holder, 0);
    this.#onFreed(CONNECTION_BYTES);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #count(holder: MemoryHolder, bytes: number): void {
    const before = this.#counted.get(holder) ?? 0;
    const after = bytes > SMALL_BYTES ? bytes : 0;
    holder.memoryCounted = after > 0;
    if (after > 0) this.#counted.set(holder, after);
    else if (before > 0) this.#counted.delete(holder);
    this.#sumBytes += after - before;
    if (after < before) this.#onFreed(before - after);
  }

  #largest(): MemoryHolder {
    let largest: MemoryHolder | null = null;
    let most = 0;
    let spared = true;
    for (const [holder, bytes] of this.#counted) {
      const { memorySpared } = holder;
      if (memorySpared === spared ? bytes <= most : memorySpared) continue;
      most = bytes;
      spared = memorySpared;
      largest = holder;
    }
    return largest!;
  }

  #onFreed(bytes: number): void {
    this.#freedBytes += bytes;
    if (this.#collect === null || this.#freedBytes < COLLECT_BYTES) return;
    if (this.#timer === null) this.#wait(COLLECT_AFTER_MS, () => this.#lookForRest());
    // Busy: whoever allocates makes the collector run anyway.
    else this.#timer.refresh();
  }

  /** Collecting takes a while: with traffic going on somebody would wait for it, and the collector runs without it. */
  #lookForRest(): void {
    const before = this.#answered();
    this.#wait(REST_MS, () => {
      if (this.#answered() !== before)
        return this.#wait(COLLECT_AFTER_MS, () => this.#lookForRest());
      this.#timer = null;
      this.#freedBytes = 0;
      this.#collect!();
    });
  }

  #wait(ms: number, then: () => void): void {
    this.#timer = setTimeout(then, ms);
    this.#timer.unref();
  }
}
