/** Whether a port is free where a node is to listen: on an address of this machine, or of a namespace beside it. */
import { connect, createServer } from 'node:net';

const CONNECT_TIMEOUT_MS = 500;

/** Null when nothing listens there and we may; else why not. */
export async function portTaken(
  address: string,
  port: number,
): Promise<NodeJS.ErrnoException | null> {
  const failure = await bindFailure(address, port);
  // No address of ours: of another namespace. What is there refuses a connection to a port that nobody has.
  if (failure?.code !== 'EADDRNOTAVAIL') return failure;
  const answer = await tryConnect(address, port, CONNECT_TIMEOUT_MS);
  return answer === 'connected'
    ? Object.assign(new Error(`something listens on ${address}:${port}`), { code: 'EADDRINUSE' })
    : null;
}

/** What becomes of a connection to an address. `refused`: the machine is there, nobody listens. */
export function tryConnect(
  address: string,
  port: number,
  timeoutMs: number,
): Promise<'connected' | 'refused' | 'unreachable'> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const done = (answer: 'connected' | 'refused' | 'unreachable') => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(done, timeoutMs, 'unreachable');
    socket.once('connect', () => done('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done(error.code === 'ECONNREFUSED' ? 'refused' : 'unreachable'),
    );
  });
}

function bindFailure(address: string, port: number): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    // Without address sharing, so that a proxy's shared listener counts as taken.
    server.listen({ host: address, port, exclusive: true }, () => {
      server.close(() => resolve(null));
    });
  });
}
