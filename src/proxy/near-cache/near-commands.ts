/**
 * Which commands a near cache may answer: those whose reply depends on the value of one key and on nothing else, as far as
 * the engine's table says so, and what the table cannot say by a list.
 */
import {
  FLAG_BLOCKING,
  FLAG_READONLY,
  FLAG_WRITE,
  KEYS_FIXED,
  type Command,
} from '../../protocol/command-table.ts';

/**
 * Read-only, one key, and yet more than the key's value: it counts as a use of the key, which is its point (TOUCH), or
 * tells of time, of the engine's memory or of its statistics. Most of these the table marks as `nondeterministic_output`
 * too; the marks differ between versions.
 */
const MORE_THAN_A_VALUE: ReadonlySet<string> = new Set([
  'touch', 'ttl', 'pttl', 'httl', 'hpttl', 'object', 'memory', 'debug', 'dump', 'xinfo', 'xpending', 'xread', 'pfcount',
  'srandmember', 'hrandfield', 'zrandmember', 'sscan', 'hscan', 'zscan',
]); // prettier-ignore

/** Their null is another one in RESP2 than what RESP3's would become (`*-1`, not `$-1`). */
const NULL_ARRAYS: ReadonlySet<string> = new Set(['zrank', 'zrevrank', 'geopos']);

/** May the reply be kept and given again as long as the key's value has not changed? Pure. */
export function mayBeKept(command: Command): boolean {
  const container = command.name.split('|', 1)[0]!;
  return (
    (command.flags & FLAG_READONLY) !== 0 &&
    (command.flags & (FLAG_WRITE | FLAG_BLOCKING)) === 0 &&
    hasOneKey(command) &&
    command.subcommands === null &&
    !command.tips.includes('nondeterministic_output') &&
    !command.categories.includes('@scripting') &&
    // A module's word for "read-only" is its own.
    !command.flagNames.includes('module') &&
    !MORE_THAN_A_VALUE.has(container)
  );
}

/** Does the command name exactly one key, always at the same place, and touch no other? */
function hasOneKey(command: Command): boolean {
  const [spec, ...more] = command.keySpecs;
  return (
    command.namesAllKeys &&
    command.keysMode === KEYS_FIXED &&
    more.length === 0 &&
    spec!.lastKey === 0
  );
}

/**
 * Does the command touch no keys but those of the slot that its request has? In a sharded cache the engine refuses anything
 * else, for scripts as well; in an unsharded one only a single key is certain to be in it.
 */
export function staysInSlot(command: Command, sharding: boolean): boolean {
  return sharding ? command.keySpecs.length > 0 : hasOneKey(command);
}

/** May a reply that was read in RESP3 be made into the RESP2 one, as far as the command goes (`resp2Of` sees to the rest)? */
export function hasResp2Twin(command: Command): boolean {
  return !NULL_ARRAYS.has(command.name);
}

/** A command on hashes: their fields may run out one by one, of which nobody is told. */
export function readsHash(command: Command): boolean {
  return command.categories.includes('@hash');
}

/** It tells nothing of any key: a session that has run it has seen nothing new. */
export function seesNoKeys(command: Command): boolean {
  return (
    command.keySpecs.length === 0 &&
    (command.flags & (FLAG_READONLY | FLAG_WRITE)) === 0 &&
    !command.categories.includes('@scripting') &&
    !command.categories.includes('@transaction')
  );
}
