/** Whether a port can be listened on, asked of the system itself. */
import { createServer } from 'node:net';
import { messageOf } from '../lib/errors.ts';
import { CliError } from './cli-error.ts';

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

/**
 * Throws CONFLICT when a port of an endpoint is taken: told before anything is downloaded or started. Ports 0 are chosen
 * later and not looked at.
 * @param hint the command with another port
 * @param ownerOf whose a port is, where that is known: `cache main`
 */
export async function requireFreePorts(
  ports: { readonly port: number; readonly readerPort: number },
  host: string,
  hint: string,
  ownerOf: (port: number) => string | undefined = () => undefined,
): Promise<void> {
  for (const [port, what] of [
    [ports.port, 'the endpoint'],
    [ports.readerPort, 'the reader endpoint'],
  ] as const) {
    if (port === 0) continue;
    const state = await portState(port, host).catch((error: unknown) => {
      throw new CliError('USAGE', `This machine cannot listen on ${host} (${messageOf(error)}).`, {
        cause: error,
      });
    });
    if (state === 'in-use')
      throw new CliError(
        'CONFLICT',
        `Port ${port} on ${host}, wanted for ${what}, is already in use by ${ownerOf(port) ?? 'another program'}.`,
        { hint },
      );
    if (state === 'forbidden')
      throw new CliError(
        'CONFLICT',
        `You may not listen on port ${port}: ports below 1024 need privileges.`,
        { hint },
      );
  }
}
