/**
 * Why the next requests of a session are not read for the time being: something must not be overtaken, or a queue is full.
 * That is the back-pressure. When the last reason is gone, reading goes on.
 */
import type { Meter } from './meter.ts';

/** Waits until its requests under way are answered, then goes on. */
export const STALL_DRAIN = 1;
/** A command of its own is at work and the next must not start. */
export const STALL_BUSY = 2;
/** As many requests under way as it may have. */
export const STALL_FULL = 4;
/** It does not read its replies. */
export const STALL_OUTPUT = 8;
/** The node it wants does not keep up. */
export const STALL_NODE = 16;
/** The command table is not known yet. */
export const STALL_START = 32;
/** As much output as one turn may make: the rest of the input waits until it is written. */
export const STALL_TURN = 64;
/** The cache is at its request limit (request-limit.ts). */
export const STALL_LIMIT = 256;
/** It has heard its last reply, or will: nothing more is executed for it. This one never ends. */
export const STALL_CLOSING = 128;

/** Part of the ordinary course, or counted elsewhere: not counted as pauses. */
const ORDINARY = STALL_DRAIN | STALL_BUSY | STALL_TURN | STALL_CLOSING | STALL_LIMIT;

export class Stalls {
  /** Bits of the reasons above; 0: nothing holds it. */
  reasons = 0;
  readonly #meter: Meter;
  readonly #resume: () => void;
  #resumeScheduled = false;

  /** @param resume reads on; called in a turn of its own, and only when nothing holds the session by then. */
  constructor(meter: Meter, resume: () => void) {
    this.#meter = meter;
    this.#resume = () => {
      this.#resumeScheduled = false;
      if (this.reasons === 0) resume();
    };
  }

  begin(reason: number): void {
    if ((this.reasons & reason) === 0 && (reason & ORDINARY) === 0) this.#meter.pauses++;
    this.reasons |= reason;
  }

  end(reason: number): void {
    if ((this.reasons & reason) === 0) return;
    this.reasons &= ~reason;
    if (this.reasons !== 0 || this.#resumeScheduled) return;
    this.#resumeScheduled = true;
    // Not from here: this may be deep inside the handling of a reply.
    setImmediate(this.#resume);
  }
}
