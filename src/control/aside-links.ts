/**
 * Connections to a node beside the one on which it is watched, for commands whose client the engine holds until others have
 * answered (CLUSTER SETSLOT waits for replicas). What is asked meanwhile is not held up, and they are held side by side:
 * one confirmation of a replica is enough for all that wait for it.
 */
import type { NodeLink } from './node-link.ts';

interface Aside {
  readonly link: Promise<NodeLink>;
  underWay: number;
}

const LINKS = 32;
/** After a move they are not kept for the next one, which may never come. */
const IDLE_MS = 5_000;

export class AsideLinks {
  readonly #open: () => Promise<NodeLink>;
  #asides: Aside[] = [];
  #idle: NodeJS.Timeout | null = null;

  /** @param open makes one, which connects by itself again until it is closed */
  constructor(open: () => Promise<NodeLink>) {
    this.#open = open;
  }

  /** Sends a command on one that nothing else waits on, if there is one or may be one more. @throws NodeError */
  async call(args: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const aside = this.#leastBusy();
    aside.underWay++;
    this.#mayIdle(false);
    try {
      const [name = '', ...rest] = args;
      return await (await aside.link).admin.callWith({ timeoutMs, signal }, name, ...rest);
    } finally {
      aside.underWay--;
      if (this.#asides.every(({ underWay }) => underWay === 0)) this.#mayIdle(true);
    }
  }

  close(): void {
    this.#mayIdle(false);
    for (const { link } of this.#asides) void link.then((one) => one.close());
    this.#asides = [];
  }

  #mayIdle(may: boolean): void {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = may ? setTimeout(() => this.close(), IDLE_MS).unref() : null;
  }

  #leastBusy(): Aside {
    const [best] = this.#asides.toSorted((a, b) => a.underWay - b.underWay);
    if (best !== undefined && (best.underWay === 0 || this.#asides.length === LINKS)) return best;
    const aside = { link: this.#open(), underWay: 0 };
    this.#asides.push(aside);
    return aside;
  }
}
