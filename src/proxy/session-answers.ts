/**
 * The replies that the proxy gives a session itself, in the order of all its replies: at once when nothing is under way, else
 * from a place in the list that is kept for them.
 */
import { COMMAND_GROUPS } from '../model/usage.ts';
import type { ClientState } from './client-state.ts';
import type { PlannedCommand } from './command-book.ts';
import { NO_COMMAND } from './retry-order.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import { NO_SLOT, type Request } from './routing/request.ts';
import type { SessionOutput } from './session-output.ts';
import type { SessionReplies } from './session-replies.ts';

export class SessionAnswers {
  readonly #router: CacheRouter;
  readonly #client: ClientState;
  readonly #replies: SessionReplies;
  readonly #output: SessionOutput;

  constructor(
    router: CacheRouter,
    client: ClientState,
    replies: SessionReplies,
    output: SessionOutput,
  ) {
    this.#router = router;
    this.#client = client;
    this.#replies = replies;
    this.#output = output;
  }

  /**
   * Answers the command at hand, after all that are under way.
   *
   * @param planned null: what the client sent is no command
   * @param weight ECPU that it costs at least; 0: it is not metered
   * @param requestBytes of the command
   */
  add(planned: PlannedCommand | null, weight: number, requestBytes: number, bytes: Buffer): void {
    if (!this.#replies.empty) {
      const place = this.reserve(planned, requestBytes);
      place.weight = weight;
      this.complete(place, bytes);
      return;
    }
    const { meter, heat, limit } = this.#router;
    meter.answered(planned?.groupIndex ?? ADMIN_GROUP, 0);
    if (weight > 0) {
      // Charged like any other, but no node's and so no slot's.
      const ecpu = heat.count(NO_SLOT, weight, requestBytes, bytes.length);
      if (limit.active) limit.charge(ecpu - 1);
    }
    if (bytes[0] === MINUS) meter.failed(bytes, 0, bytes.length);
    if (!this.#client.muted) this.#output.write(bytes, 0, bytes.length);
  }

  /** Keeps the place of the next reply; `complete` fills it. `sizeBytes`: what is under way in its stead. */
  reserve(planned: PlannedCommand | null, sizeBytes = 0): Request {
    const request = this.#router.pool.take();
    request.start = 0;
    request.end = sizeBytes;
    request.slot = NO_COMMAND;
    request.command = planned?.command ?? null;
    request.part = planned?.groupIndex ?? ADMIN_GROUP;
    request.weight = planned?.weight ?? 0;
    request.startedUs = this.#router.turn.nowUs;
    request.muted = this.#client.muted;
    this.#replies.enqueue(request, sizeBytes);
    return request;
  }

  complete(place: Request, bytes: Buffer): void {
    this.#replies.onReply(place, bytes, 0, bytes.length);
  }

  /** As `complete`, with a reply in parts, at least one, that nobody changes any more. */
  completeParts(place: Request, parts: Buffer[]): void {
    place.replyParts = parts;
    this.complete(place, parts[0]!);
  }
}

const MINUS = 45;
const ADMIN_GROUP = COMMAND_GROUPS.indexOf('admin');
