/** Whether a port can be listened on, asked of the system itself. */
import { createServer } from 'node:net';

export type PortState = 'free' | 'in-use' | 'forbidden';

/** Tries to listen on `host:port` for an instant. Throws for an address this machine does not have. */
export function portState(port: number, host: string): Promise<PortState> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve('in-use');
      else if (error.code === 'EACCES') resolve('forbidden');
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve('free')));
  });
}
