/**
 * What one session has seen of hot keys by other ways than the near cache, so that it never sees an older value after a
 * newer one: after a reply of a node it is given kept replies again only when the tracking connections have told all that
 * was known by then (NearLink.fence).
 */
export class NearView {
  /** The near cache's generation for which nothing newer than the kept replies was seen; 0: of none. */
  cleanAt = 0;
  /** Of the last request of the session that could see a hot key: its place in the session's order. */
  passed = 0;
  /** How often it has waited with the command at hand. */
  waits = 0;

  /** A request with this place goes to a node. */
  pass(sequence: number): void {
    this.cleanAt = 0;
    this.passed = sequence;
    this.waits = 0;
  }
}
