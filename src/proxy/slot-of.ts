/** Where a request belongs. */
import {
  KEYS_FIXED,
  KEYS_NONE,
  type Command,
  type RequestArguments,
} from '../protocol/command-table.ts';
import { hashSlot } from '../protocol/hash-slot.ts';
import { NO_SLOT } from './routing/request.ts';

/** Its first key is longer than the cache allows. */
export const KEY_TOO_LONG = -2;

/** Slot of the request's first key; NO_SLOT when it names none; KEY_TOO_LONG. Hot. */
export function slotOf(
  command: Command,
  buf: Buffer,
  args: RequestArguments,
  keyMaximumBytes: number,
): number {
  if (command.keysMode === KEYS_NONE) return NO_SLOT;
  const key =
    command.keysMode === KEYS_FIXED
      ? command.firstKey < args.argc
        ? command.firstKey
        : 0
      : command.firstKeyOf(buf, args);
  if (key <= 0) return NO_SLOT;
  const start = args.argStart[key]!;
  const end = args.argEnd[key]!;
  return end - start > keyMaximumBytes ? KEY_TOO_LONG : hashSlot(buf, start, end);
}
