/** What the cache's request limit (request-limit.ts) does to one session: its metered requests ask, and wait for their turn. */
import type { ClientState } from './client-state.ts';
import type { PlannedCommand } from './command-book.ts';
import {
  LIMIT_ADMITTED,
  LIMIT_WAIT,
  type LimitedClient,
  type LimitVerdict,
  type RequestLimit,
} from './request-limit.ts';
import { STALL_LIMIT, type Stalls } from './stalls.ts';

export class SessionLimit implements LimitedClient {
  readonly #limit: RequestLimit;
  readonly #client: ClientState;
  readonly #stalls: Stalls;
  /** The request at hand has taken its token, though it has to come again. */
  #admitted = false;

  constructor(limit: RequestLimit, client: ClientState, stalls: Stalls) {
    this.#limit = limit;
    this.#client = client;
    this.#stalls = stalls;
  }

  /** May the command be sent on? A transaction asks once, when it is executed. Asked only while there is a limit. Hot then. */
  ask(planned: PlannedCommand): LimitVerdict {
    if (this.#admitted) return LIMIT_ADMITTED;
    const { transaction } = this.#client;
    let { weight } = planned;
    if (transaction?.open === true)
      weight = planned.command.name === 'exec' ? transaction.queued.weight : 0;
    if (weight === 0) return LIMIT_ADMITTED;
    const verdict = this.#limit.admit(this);
    if (verdict === LIMIT_WAIT) this.#stalls.begin(STALL_LIMIT);
    this.#admitted = verdict === LIMIT_ADMITTED;
    return verdict;
  }

  /** The request that asked has been taken: the next one asks for itself. */
  taken(): void {
    this.#admitted = false;
  }

  /** See LimitedClient. */
  onAdmitted(): void {
    this.#stalls.end(STALL_LIMIT);
  }

  /** The session has gone on as far as it could. */
  settle(): void {
    if (this.#limit.active) this.#limit.settle(this);
  }

  /** The session has gone. */
  leave(): void {
    this.#limit.leave(this);
  }
}
