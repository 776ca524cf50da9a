import { connect } from 'node:net';

/**
 * Whether an engine answers on a port: any reply at all, since a node that is up may answer with an error. It is asked to
 * QUIT, which anybody may without logging in: an error would stand in the statistics of a cache that nobody has used yet.
 *
 * @param timeoutMs for connecting and answering together
 */
export function pingNode(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (answered: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answered);
    };
    const timer = setTimeout(done, timeoutMs, false);
    socket.once('connect', () => socket.write('QUIT\r\n'));
    socket.once('data', (reply) => done(reply[0] === 0x2b || reply[0] === 0x2d)); // '+' or '-'
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
  });
}
