/** The tracking connections of a near cache, one to each node that something is kept of; made on first use. */
import type { CacheRouter } from '../routing/cache-router.ts';
import { NearLink, type FenceCallback, type NearLinkOwner } from './near-link.ts';

/** The bound of staleness: what its node has not confirmed for this long is not given. */
export const NEAR_STALE_MS = 100;
const STALE_US = NEAR_STALE_MS * 1000;
/** A link that nothing is kept of is closed after this. */
const IDLE_US = 10_000_000;

export class NearLinks {
  readonly #router: CacheRouter;
  readonly #owner: NearLinkOwner;
  readonly #byNode = new Map<number, NearLink>();

  constructor(router: CacheRouter, owner: NearLinkOwner) {
    this.#router = router;
    this.#owner = owner;
  }

  get none(): boolean {
    return this.#byNode.size === 0;
  }

  to(node: number): NearLink {
    let link = this.#byNode.get(node);
    if (link === undefined) {
      link = new NearLink(this.#router, node, this.#owner);
      this.#byNode.set(node, link);
    }
    return link;
  }

  /** Does the node's link, if it has one, not answer? */
  isSilentAt(node: number, nowUs: number): boolean {
    const link = this.#byNode.get(node);
    return link !== undefined && NearLinks.isSilent(link, nowUs);
  }

  static isSilent(link: NearLink, nowUs: number): boolean {
    return link.isSilent(nowUs, STALE_US);
  }

  /** Has it told all, the bound of staleness back at most? */
  static isFresh(link: NearLink, nowUs: number): boolean {
    return nowUs - link.confirmedUs <= STALE_US;
  }

  /**
   * Calls back when every link whose replies may be given has told what had happened before now, or does not answer.
   *
   * @param needed waited for in any case
   */
  fence(needed: NearLink, nowUs: number, callback: FenceCallback): void {
    // Of the others nothing is given before they have been asked again, later than now.
    const links = [...this.#byNode.values()].filter(
      (link) =>
        link === needed || NearLinks.isFresh(link, nowUs) || nowUs - link.sentUs <= STALE_US,
    );
    if (links.length === 0) callback(false);
    let missing = links.length;
    let toldAll = true;
    for (const link of links)
      link.fence((told) => {
        toldAll &&= told;
        if (--missing === 0) callback(toldAll);
      });
  }

  /**
   * Called every few milliseconds.
   *
   * @param used links whose replies are kept
   * @param wanted something of them was given: they are to confirm
   * @param patienceUs nobody waits longer for one that does not answer
   */
  keep(used: ReadonlySet<NearLink>, wanted: boolean, nowUs: number, patienceUs: number): void {
    for (const link of this.#byNode.values()) {
      if (wanted && used.has(link)) link.ping();
      else if (!used.has(link) && nowUs - link.sentUs > IDLE_US) link.close();
      link.look(nowUs, patienceUs);
    }
  }

  /** The connection is gone: the next use makes another. */
  drop(link: NearLink): void {
    if (this.#byNode.get(link.node) === link) this.#byNode.delete(link.node);
  }

  close(): void {
    for (const link of this.#byNode.values()) link.close();
  }
}
