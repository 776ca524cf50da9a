/**
 * The order of a session's requests when one has to wait for another try: it must not run after a later one that touches
 * one of its keys. Requests for different keys do not order each other, though those be of one slot.
 *
 * A request that does not name all its keys (a script, a transaction, SORT with patterns) is taken to touch all that is in
 * its slot, and so is one that names none. Cold: asked only while something waits.
 */
import { RequestScanner, SCAN_REQUEST } from '../protocol/request-scanner.ts';
import type { Request } from './routing/request.ts';

/** Slot of what stands in a session's list only for its place: it decides nothing about the order of commands. */
export const NO_COMMAND = -2;

/** For a request that has run, or may have: would an earlier one that waits come too late now? */
export function overtakenBy(done: Request): (earlier: Request) => boolean {
  let doneKeys: ReadonlySet<string> | null = null;
  return (earlier) => {
    if (earlier.slot === NO_COMMAND || done.slot === NO_COMMAND) return false;
    const sameSlot = earlier.slot === done.slot;
    if (!sameSlot && !mayHaveMoreKeys(earlier) && !mayHaveMoreKeys(done)) return false;
    const keys = keysOf(earlier);
    doneKeys ??= new Set(keysOf(done));
    const known = keys.length > 0 && doneKeys.size > 0 && namesAll(earlier) && namesAll(done);
    return (sameSlot && !known) || keys.some((key) => doneKeys!.has(key));
  };
}

/** In an unsharded cache one request may have keys of many slots; its own is that of the first. */
function mayHaveMoreKeys({ command }: Request): boolean {
  const [spec, ...others] = command?.keySpecs ?? [];
  if (spec === undefined) return false;
  return others.length > 0 || spec.keyCountIndex >= 0 || spec.lastKey !== 0;
}

function namesAll({ command }: Request): boolean {
  return command?.namesAllKeys === true;
}

/** The keys that the request's bytes name; none where these are a batch of several commands. */
function keysOf({ command, buf, start, end, precedingReplies }: Request): string[] {
  if (command === null || buf === null || precedingReplies > 0) return [];
  const args = new RequestScanner();
  args.begin(start);
  if (args.scan(buf, end) !== SCAN_REQUEST) return [];
  return command
    .keysOf(buf, args)
    .map((key) => buf.toString('latin1', args.argStart[key], args.argEnd[key]));
}
