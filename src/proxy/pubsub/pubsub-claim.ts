/** One (P|S)SUBSCRIBE of a client that waits until a node has confirmed all that it names. */
import type { Session } from '../session.ts';
import type { Topic } from './topic.ts';

export interface Claim {
  readonly session: Session;
  /** In the order of the arguments; one that is named twice is confirmed twice. */
  readonly topics: readonly Topic[];
  /** Of these, the ones that no node has confirmed. */
  readonly missing: Set<Topic>;
  /** performance.now() when the client is told that nobody can be subscribed to. */
  readonly deadlineMs: number;
  /** Called once. */
  readonly settle: (outcome: ClaimOutcome) => void;
}

/** An error reply, or for each name the number that its confirmation shows (pubsub.c counts them one by one). */
export type ClaimOutcome = Buffer | readonly number[];
