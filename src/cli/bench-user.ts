/**
 * The user that a bench logs in as. valkey-benchmark takes a password on its command line only, where everybody on the
 * machine can read it: so it gets one that is good for the bench's own keys, until the bench ends. The name says whose it
 * is, so that the next bench can remove what one that was killed has left.
 */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../lib/errors.ts';
import type { UserStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { CliError } from './cli-error.ts';
import { isAlive } from './shutdown.ts';

const PREFIX = 'springtide-bench-';
/** GET and SET are measured; UNLINK removes the keys; the rest is what the clients say about themselves. */
const RULES = '~springtide-bench:* +get +set +unlink +config|get +client|setinfo';

export interface BenchUser {
  readonly username: string;
  readonly password: string;
}

/**
 * Does `work` as a user that is there only meanwhile, however it ends: a signal that is to end it must not end the process.
 *
 * @param note tells what could not be removed; that is no error of `work`
 */
export async function withBenchUser(
  client: ApiClient,
  cacheName: string,
  note: (text: string) => void,
  work: (user: BenchUser) => Promise<void>,
): Promise<void> {
  const path = `/v1/caches/${encodeURIComponent(cacheName)}/users`;
  const remove = async (name: string): Promise<void> => {
    try {
      await client.call('DELETE', `${path}/${encodeURIComponent(name)}`);
    } catch (error) {
      if (error instanceof CliError && error.code === 'NOT_FOUND') return;
      note(`the user ${name} of cache ${cacheName} may still be there: ${messageOf(error)}`);
    }
  };
  for (const { name } of await client.call<UserStatus[]>('GET', path))
    if (isLeftOver(name)) await remove(name);
  const user = {
    username: `${PREFIX}${process.pid}-${randomBytes(4).toString('hex')}`,
    password: randomBytes(24).toString('base64url'),
  };
  try {
    await client.call('PUT', `${path}/${user.username}`, {
      body: { enabled: true, passwords: [user.password], rules: RULES },
    });
    await work(user);
  } finally {
    await remove(user.username);
  }
}

/** Of a bench that has ended; benches run where the daemon does, whose socket they need. */
function isLeftOver(name: string): boolean {
  const match = /^springtide-bench-(?:(\d+)-)?[0-9a-f]{8}$/.exec(name);
  if (match === null) return false;
  const [, pid] = match;
  // Without a pid: of an earlier version. With this process's: its pid was another's before.
  return pid === undefined || Number(pid) === process.pid || !isAlive(Number(pid));
}
