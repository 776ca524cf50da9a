/** For commands whose answer must go out in the very moment in which something else begins (messages, MONITOR's lines). */
import type { Session } from './session.ts';
import { STALL_BUSY } from './stalls.ts';
import type { Call } from './session-commands.ts';

/**
 * Keeps the command's place until the answer is called: with a reply, or with a list of confirmations. These count as
 * pushes, which CLIENT REPLY does not silence. No further command is taken meanwhile.
 */
export function answerLater(
  session: Session,
  call: Call,
): (reply: Buffer | readonly Buffer[]) => void {
  const place = session.reserve(call.planned);
  session.stall(STALL_BUSY);
  return (reply) => {
    if (session.closed) return;
    if (!Buffer.isBuffer(reply)) place.muted = false;
    session.service.router.turn.tick();
    session.complete(place, Buffer.isBuffer(reply) ? reply : Buffer.concat(reply));
    session.service.commands.updateSpecial(session);
    session.release();
  };
}
