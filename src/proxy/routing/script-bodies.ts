/**
 * The scripts that this proxy knows by their text: those loaded through it and those it has brought to a node. The nodes
 * are asked first; this is for when all that knew one are gone (the only primary of an unsharded cache has died). Bounded:
 * what has not been wanted for longest goes first.
 */
import { createHash } from 'node:crypto';

const KEPT_MAXIMUM_BYTES = 4 * 1024 * 1024;
/** A longer one is not kept. */
const BODY_MAXIMUM_BYTES = 1024 * 1024;

export class ScriptBodies {
  /** The least wanted first. */
  readonly #bodies = new Map<string, Buffer>();
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Keeps a copy.
   *
   * @returns the script's name (SHA-1, 40 lower-case hex digits)
   */
  keep(body: Uint8Array): string {
    const sha = createHash('sha1').update(body).digest('hex');
    this.drop(sha);
    if (body.length > BODY_MAXIMUM_BYTES) return sha;
    this.#bodies.set(sha, Buffer.from(body));
    this.#sizeBytes += body.length;
    for (const oldest of this.#bodies.keys()) {
      if (this.#sizeBytes <= KEPT_MAXIMUM_BYTES) break;
      this.drop(oldest);
    }
    return sha;
  }

  get(sha: string): Buffer | null {
    const body = this.#bodies.get(sha);
    if (body === undefined) return null;
    this.#bodies.delete(sha);
    this.#bodies.set(sha, body);
    return body;
  }

  drop(sha: string): void {
    this.#sizeBytes -= this.#bodies.get(sha)?.length ?? 0;
    this.#bodies.delete(sha);
  }

  clear(): void {
    this.#bodies.clear();
    this.#sizeBytes = 0;
  }
}
