/**
 * The base of every error that Springtide raises on purpose. Decide on `code`, never on the message: the message is one
 * sentence for a person, the code is stable and is what callers, the API and exit codes go by.
 */
export class SpringtideError<Code extends string = string> extends Error {
  readonly code: Code;

  /**
   * @param code stable identifier, UPPER_SNAKE_CASE
   * @param message one sentence that says what was wrong and, where there is one, what to do next
   * @param options `cause`: the error underneath, always kept
   */
  constructor(code: Code, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The message of anything thrown, for a line in a log or on a terminal. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
