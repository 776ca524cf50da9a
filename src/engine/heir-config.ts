/**
 * How a primary that died without a replica comes back writable at once.
 *
 * An engine that starts as a primary of a cluster refuses everything for 2 s after its start (CLUSTER_WRITABLE_DELAY in
 * cluster_legacy.c, clusterUpdateState), so that a replica may have been elected in its place. One that starts as a
 * replica does not wait. Here it is certain that there is nobody to be elected: the node is started as the replica of a
 * node that never was (the ghost), takes over from it, and is given its slots.
 *
 *   nodes.conf: myself, primary, 0-5460   ->   ghost, primary, no address | myself, replica of the ghost
 *
 * The node keeps its identity, so that nobody else has to learn anything. A ghost has no address, so that it is never
 * connected to and never spoken of to other nodes.
 *
 * A majority of the primaries that own slots must be there, and the ghost never is. So:
 *   two other primaries or more   the ghost has the slots, and a takeover moves them and tells everybody
 *   one                           the ghost has none; the node is given them after its takeover, and the other hears of it
 *                                 with the next ping
 *   none                          likewise, and somebody must be that majority for a moment: a witness that has one slot,
 *                                 and an address at which nobody is
 */
import { randomBytes } from 'node:crypto';

/** Words of a line of nodes.conf before the slots: id, address and auxiliary fields, flags, primary, ping, pong, epoch, link. */
const SLOTS_FROM = 8;
/** tcpmux, which nobody runs. */
const NOBODY = '127.0.0.1:1@1';

export interface Heir {
  /** nodes.conf to start with. */
  readonly text: string;
  /** To be given to it after the takeover. */
  readonly slots: readonly SlotSpan[];
}

export interface SlotSpan {
  readonly first: number;
  readonly last: number;
}

/**
 * @param nodesConf as the node that died left it
 * @param keep of the slots that the node had, the ones that it may have again
 * @returns null when the file does not say that it was a primary with slots, or none may be kept: start it as it is
 */
export function makeHeir(
  nodesConf: string,
  keep: (had: readonly SlotSpan[]) => readonly SlotSpan[],
): Heir | null {
  const lines = nodesConf.split('\n').filter((line) => line.trim() !== '');
  // A file that a full disk has cut short is not to be built upon.
  if (!/^vars currentEpoch \d+ lastVoteEpoch \d+$/.test(lines.at(-1) ?? '')) return null;
  const at = lines.findIndex((line) => flagsOf(line).includes('myself'));
  const words = lines[at]?.split(' ') ?? [];
  const [id, address = '', flags = '', , , , epoch = '0'] = words;
  if (id === undefined || !/\b(master|primary)\b/.test(flags)) return null;
  const slots = keep(words.slice(SLOTS_FROM).flatMap(spanOf));
  if (slots.length === 0) return null;
  const ghostId = newId();
  const auxiliary = address.includes(',') ? address.slice(address.indexOf(',')) : '';
  const others = lines.filter((_, i) => i !== at).map(withoutFailure);
  const primaries = others.filter(hasSlots).length;
  const ghostSlots = primaries < 2 ? '' : ` ${slots.map(spanText).join(' ')}`;
  const ghost = `${ghostId} :0@0${auxiliary} noaddr,master - 0 0 ${epoch} disconnected${ghostSlots}`;
  const witness = `${newId()} ${NOBODY} master - 0 0 0 disconnected ${slots.at(-1)!.last}`;
  const heir = `${id} ${address} myself,slave ${ghostId} 0 0 0 connected`;
  // The ghost first: a replica's shard is checked against its primary's. Who failed is for the node to find out anew.
  const made = [ghost, heir, ...(primaries > 0 ? [] : [witness]), ...others];
  return { text: `${made.join('\n')}\n`, slots };
}

function newId(): string {
  return randomBytes(20).toString('hex');
}

function spanText({ first, last }: SlotSpan): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

function hasSlots(line: string): boolean {
  return !line.startsWith('vars ') && line.split(' ').length > SLOTS_FROM;
}

function flagsOf(line: string): string[] {
  return (line.split(' ')[2] ?? '').split(',');
}

function withoutFailure(line: string): string {
  if (line.startsWith('vars ')) return line;
  const words = line.split(' ');
  const flags = flagsOf(line).filter((flag) => flag !== 'fail' && flag !== 'fail?');
  words[2] = flags.length === 0 ? 'noflags' : flags.join(',');
  return words.join(' ');
}

/** A slot that was on its way (`[1->-id]`) is where it was when the node died. */
function spanOf(word: string): SlotSpan[] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(word);
  if (match === null) return [];
  const first = Number(match[1]);
  return [{ first, last: Number(match[2] ?? first) }];
}
