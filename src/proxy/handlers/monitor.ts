/** MONITOR. Who may run it is the engine's decision, by the user's rules. */
import { answerLater } from '../answer-later.ts';
import { Monitor } from '../monitor.ts';
import { errorReply, OK_REPLY } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../command-handler.ts';

export const monitorHandlers: HandlerTable = {
  monitor: { drained: true, run: monitor, atExec: () => DENIED },
};

const DENIED = errorReply("ERR MONITOR isn't allowed for DENY BLOCKING client");

function monitor(session: Session, call: Call): null {
  // The engine ignores a second MONITOR, without a reply (replication.c, monitorCommand).
  if (session.client.monitor !== null) return null;
  const answer = answerLater(session, call);
  const started = new Monitor(session);
  session.client.monitor = started;
  started.start((error) => {
    if (error !== null) session.client.monitor = null;
    answer(error ?? OK_REPLY);
  });
  return null;
}
