/** For commands whose answer must go out in the very moment in which something else begins (messages, MONITOR's lines). */
import type { Session } from './session.ts';
import { STALL_BUSY } from './stalls.ts';
import type { Call } from './command-handler.ts';

/**
 * Keeps the command's place until the answer is called: with a reply, or with a list of confirmations. These count as
 * pushes, which CLIENT REPLY does not silence. No further command is taken meanwhile.
 */
export function answerLater(
  session: Session,
  call: Call,
): (reply: Buffer | readonly Buffer[]) => void {
  const answer = answerInParts(session, call, 0);
  return (reply) => {
    if (Buffer.isBuffer(reply)) answer([reply]);
    else answer([Buffer.concat(reply)], false);
  };
}

/**
 * As `answerLater`, with a reply in parts, at least one, that nobody changes any more.
 *
 * @param sizeBytes what is under way in the command's stead
 * @param weight ECPU that it costs at least
 */
export function answerInParts(
  session: Session,
  call: Call,
  sizeBytes: number,
  weight = call.planned.weight,
): (parts: Buffer[], muted?: boolean) => void {
  const place = session.answers.reserve(call.planned, sizeBytes);
  place.weight = weight;
  session.stall(STALL_BUSY);
  return (parts, muted = place.muted) => {
    if (session.closed) return;
    place.muted = muted;
    session.service.router.turn.tick();
    session.answers.completeParts(place, parts);
    session.service.commands.updateSpecial(session);
    session.release();
  };
}
