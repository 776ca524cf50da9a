import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

const POLL_MS = 250;
const CLOSING_POLL_MS = 2;
const CLOSING_POLLS = 50;

/**
 * Resolves when a server that is not our child has ended. Such an end sends no signal, so an idle connection to it
 * serves as the bell: the kernel closes it the moment the process dies. /proc then says whether it was death or only a
 * closed connection; a slow poll of /proc covers a server that accepts none. Keeps no process alive.
 */
export async function watchProcess(
  identity: ProcessIdentity,
  host: string,
  port: number,
): Promise<void> {
  while (isAlive(identity)) {
    const closed = connectionClosed(host, port);
    while (isAlive(identity)) {
      const rang = await Promise.race([closed, delay(POLL_MS, false, { ref: false })]);
      if (rang) break;
    }
    // Sockets are closed a little before the process is gone from /proc.
    for (let poll = 0; poll < CLOSING_POLLS && isAlive(identity); poll++) {
      await delay(CLOSING_POLL_MS, undefined, { ref: false });
    }
  }
}

/** Resolves with true when an idle connection has closed, or could not be made. */
function connectionClosed(host: string, port: number): Promise<true> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.unref();
    socket.on('error', () => {}); // 'close' follows
    socket.once('close', () => resolve(true));
    socket.resume();
  });
}
