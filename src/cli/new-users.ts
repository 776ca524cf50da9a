/** Users that `create --user` makes together with their cache. */
import type { UserChange, UserStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { CliError } from './cli-error.ts';
import { askPassword, readPasswordLines } from './password-input.ts';
import type { Report } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

export interface NewUser {
  readonly name: string;
  /** Valkey ACL rules. */
  readonly rules: string;
}

/** `NAME:RULES`; throws RangeError. */
export function parseUserOption(text: string): NewUser {
  const colon = text.indexOf(':');
  const name = text.slice(0, colon);
  const rules = text.slice(colon + 1).trim();
  if (colon < 1 || rules === '' || /\s/.test(name))
    throw new RangeError(`"${text}" is not NAME:RULES; write for example 'app:~app:* +@all'`);
  return { name, rules };
}

/**
 * Collects the passwords now and returns what makes the users later, once the cache is there.
 * @param passwordFile one password a line, in the order of the users; asked on the terminal when absent
 */
export async function createUsers(
  users: readonly NewUser[],
  passwordFile: string | undefined,
  terminal: Terminal,
): Promise<(client: ApiClient, cache: string, report: Report) => Promise<void>> {
  const passwords: string[] = [];
  if (passwordFile !== undefined) {
    passwords.push(...readPasswordLines(passwordFile));
    if (passwords.length !== users.length)
      throw new CliError(
        'USAGE',
        `There are ${users.length} users but ${passwords.length} lines of passwords.`,
      );
  } else {
    for (const user of users)
      passwords.push(await askPassword(`Password of user ${user.name}`, terminal));
  }
  return async (client, cache, report) => {
    for (const [index, user] of users.entries()) {
      report(`user ${user.name}`);
      const change: UserChange = {
        enabled: true,
        rules: user.rules,
        passwords: [passwords[index]!],
      };
      const path = `/v1/caches/${encodeURIComponent(cache)}/users/${encodeURIComponent(user.name)}`;
      await client.call<UserStatus>('PUT', path, { body: change });
    }
  };
}
