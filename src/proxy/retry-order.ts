/**
 * The order of a session's requests when one has to wait for another try: it must not run after a later one that touches the
 * same. Requests for different keys do not order each other, though those be of one slot.
 *
 * A request that does not name all its keys (a script, a transaction, SORT with patterns) is taken to touch all that is in
 * its slot; in an unsharded cache, and where it names none (FLUSHALL, EVAL without keys), all that its node has. What touches
 * no data (PING, CLIENT) orders nothing, but messages have an order of their own. Cold: asked only while something waits.
 */
import { FLAG_READONLY, FLAG_WRITE } from '../protocol/command-table.ts';
import { RequestScanner, SCAN_REQUEST } from '../protocol/request-scanner.ts';
import { NO_SLOT, type Request } from './routing/request.ts';

/** Slot of what stands in a session's list only for its place: it decides nothing about the order of commands. */
export const NO_COMMAND = -2;

/** Which slots are together: those of a node, or all of an unsharded cache. */
export interface SlotOwners {
  readonly cache: { readonly sharding: boolean };
  /** The node that a request for the slot goes to; for NO_SLOT the one that requests without keys go to. */
  ownerOf(slot: number): number;
}

const NOTHING = 0;
const DATA = 1;
const MESSAGES = 2;

/** For a request that has run, or may have: would an earlier one that waits come too late now? */
export function overtakenBy(done: Request, owners: SlotOwners): (earlier: Request) => boolean {
  const touched = touchedBy(done);
  if (touched === NOTHING) return () => false;
  let doneKeys: ReadonlySet<string> | null = null;
  return (earlier) => {
    if (touchedBy(earlier) !== touched) return false;
    if (namesAll(earlier) && namesAll(done)) {
      doneKeys ??= new Set(keysOf(done));
      const keys = keysOf(earlier);
      if (keys.length > 0 && doneKeys.size > 0) return keys.some((key) => doneKeys!.has(key));
    }
    if (!owners.cache.sharding) return true;
    if (isInOneSlot(earlier) && isInOneSlot(done)) return earlier.slot === done.slot;
    return owners.ownerOf(earlier.slot) === owners.ownerOf(done.slot);
  };
}

function touchedBy({ command, slot }: Request): number {
  if (slot === NO_COMMAND) return NOTHING;
  // A transaction.
  if (command === null) return DATA;
  if (command.name === 'publish' || command.name === 'spublish') return MESSAGES;
  const data = command.keySpecs.length > 0 || (command.flags & (FLAG_WRITE | FLAG_READONLY)) !== 0;
  return data ? DATA : NOTHING;
}

/** Else its slot, if it has one, only says to which node it goes. */
function isInOneSlot({ command, slot }: Request): boolean {
  return slot !== NO_SLOT && (command === null || command.keySpecs.length > 0);
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
