/** Administrative connections to endpoints under test: iovalkey, with everything off that a plain proxy cannot answer. */
import { Redis as Valkey } from 'iovalkey';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Credentials {
  readonly username?: string;
  readonly password?: string;
}

/** Connects, runs `work`, disconnects. No retries: what cannot be reached now is an error now. */
export async function withConnection<T>(
  { host, port }: Address,
  work: (client: Valkey) => Promise<T>,
  options: Credentials & { readonly tls?: boolean; readonly timeoutMs?: number } = {},
): Promise<T> {
  const client = new Valkey({
    host,
    port,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    // Certificates of the bench and of a fresh Springtide are self-made.
    ...(options.tls === true ? { tls: { rejectUnauthorized: false } } : {}),
    ...(options.timeoutMs === undefined ? {} : { commandTimeout: options.timeoutMs }),
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: 5_000,
  });
  // Errors reach the caller through the commands' promises; without a listener iovalkey prints them as well.
  client.on('error', () => {});
  try {
    await client.connect();
    return await work(client);
  } finally {
    client.disconnect();
  }
}

/** A number from an INFO reply; 0 when the field is not there. */
export function infoNumber(info: string, field: string): number {
  const match = new RegExp(`^${field}:(\\d+)`, 'm').exec(info);
  return match === null ? 0 : Number(match[1]);
}

export type { Valkey };

/** A client that writes through failures: it comes back at once, and each command fails or succeeds by itself. */
export function connectWriter(host: string, port: number): Valkey {
  const client = new Valkey({ host, port, maxRetriesPerRequest: 0, retryStrategy: () => 50 });
  client.on('error', () => {});
  return client;
}
