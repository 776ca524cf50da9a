/** `springtide user create|modify|delete|list`: who may use a cache. */
import type { Command } from 'commander';
import type { UserChange, UserStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { CliError } from './cli-error.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { askPassword, ask, readPasswordLines } from './password-input.ts';
import { formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

const PASSWORDS_MAXIMUM = 2;

interface ChangeOptions extends DataDirOption {
  readonly rules?: string;
  readonly password?: boolean;
  readonly passwordFile?: string;
  readonly addPassword?: boolean;
  readonly nopass?: boolean;
  readonly enable?: boolean;
  readonly disable?: boolean;
  readonly json?: boolean;
}

export function registerUser(program: Command, terminal: Terminal): void {
  const user = program
    .command('user')
    .description('who may use a cache: Valkey ACL rules and passwords');

  withJson(
    withDataDir(
      user.command('list').alias('ls').description('list the users of a cache').argument('<cache>'),
    ),
  ).action(async (cache: string, options: DataDirOption & { json?: boolean }) => {
    const users = await clientOf(options, terminal).call<UserStatus[]>('GET', usersPath(cache));
    if (options.json) return terminal.out(JSON.stringify(users, null, 2));
    terminal.out(userTable(users, terminal).join('\n'));
  });

  withChange(
    user
      .command('create')
      .description('create a user; asks for the password')
      .argument('<cache>')
      .argument('<user>')
      .option('--disable', 'create it so that nobody can log in yet'),
  ).action(async (cache: string, name: string, options: ChangeOptions) => {
    const client = clientOf(options, terminal);
    const users = await client.call<UserStatus[]>('GET', usersPath(cache));
    if (users.some((known) => known.name === name))
      throw new CliError('CONFLICT', `User ${name} of cache ${cache} exists already.`, {
        hint: `Change it: ${terminal.program} user modify ${cache} ${name}`,
      });
    if (options.rules === undefined)
      throw new CliError('USAGE', 'A new user needs rules: what it may do.', {
        hint: "For everything: --rules '~* &* +@all'; for one prefix without dangerous commands: --rules '~app:* +@all -@dangerous'",
      });
    const passwords = options.nopass
      ? undefined
      : await passwordsFrom(options, name, terminal, true);
    const change: UserChange = {
      enabled: options.disable !== true,
      rules: options.rules,
      ...(options.nopass ? { nopass: true } : {}),
      ...(passwords ? { passwords } : {}),
    };
    await put(client, cache, name, change, options, terminal, 'created');
  });

  withChange(
    user
      .command('modify')
      .description('change a user; what is not named stays as it is')
      .argument('<cache>')
      .argument('<user>')
      .option('--password', 'ask for a new password, which replaces those there are')
      .option('--enable', 'let it log in')
      .option('--disable', 'let nobody log in as it; sessions that are in stay in'),
  ).action(async (cache: string, name: string, options: ChangeOptions) => {
    const client = clientOf(options, terminal);
    const users = await client.call<UserStatus[]>('GET', usersPath(cache));
    if (!users.some((known) => known.name === name))
      throw new CliError('NOT_FOUND', `Cache ${cache} has no user ${name}.`);
    if (options.enable && options.disable)
      throw new CliError('USAGE', '--enable and --disable exclude each other.');
    const wantsPassword = options.password || options.passwordFile !== undefined;
    if (options.nopass && wantsPassword)
      throw new CliError('USAGE', '--nopass and a password exclude each other.');
    const passwords = wantsPassword
      ? await passwordsFrom(options, name, terminal, false)
      : undefined;
    const change: UserChange = {
      ...(options.enable ? { enabled: true } : options.disable ? { enabled: false } : {}),
      ...(options.rules === undefined ? {} : { rules: options.rules }),
      ...(options.nopass ? { nopass: true } : {}),
      ...(passwords ? { passwords, nopass: false } : {}),
    };
    if (Object.keys(change).length === 0)
      throw new CliError('USAGE', 'Nothing to change was named.', {
        hint: `${terminal.program} user modify --help`,
      });
    await put(client, cache, name, change, options, terminal, 'changed');
  });

  withJson(
    withDataDir(
      user
        .command('delete')
        .alias('rm')
        .description('delete a user; its connections are closed')
        .argument('<cache>')
        .argument('<user>')
        .option('-y, --yes', 'do not ask'),
    ),
  ).action(
    async (
      cache: string,
      name: string,
      options: DataDirOption & { yes?: boolean; json?: boolean },
    ) => {
      const client = clientOf(options, terminal);
      const users = await client.call<UserStatus[]>('GET', usersPath(cache));
      if (!users.some((known) => known.name === name))
        throw new CliError('NOT_FOUND', `Cache ${cache} has no user ${name}.`);
      if (!options.yes) {
        if (!terminal.canAsk)
          throw new CliError(
            'USAGE',
            `Deleting user ${name} needs a confirmation, and there is no terminal to ask on.`,
            {
              hint: 'Add --yes.',
            },
          );
        const answer = await ask(`Delete user ${name} of cache ${cache}? [y/N] `);
        if (!/^y(es)?$/i.test(answer.trim()))
          throw new CliError('FAILED', `User ${name} was not deleted.`);
      }
      await client.call<void>('DELETE', `${usersPath(cache)}/${encodeURIComponent(name)}`);
      if (options.json) terminal.out(JSON.stringify({ deleted: name }));
      else terminal.out(`User ${name} of cache ${cache} is deleted.`);
    },
  );
}

function withChange(command: Command): Command {
  return withJson(
    withDataDir(
      command
        .option('--rules <rules>', "Valkey ACL rules, e.g. '~app:* +@all -@dangerous'")
        .option(
          '--password-file <file>',
          'one password, or two for rotation, one a line; - is standard input',
        )
        .option('--nopass', 'any password is right'),
    ),
  );
}

async function passwordsFrom(
  options: ChangeOptions,
  name: string,
  terminal: Terminal,
  isNew: boolean,
): Promise<readonly string[]> {
  if (options.passwordFile === undefined)
    return [await askPassword(`${isNew ? 'Password' : 'New password'} of user ${name}`, terminal)];
  const passwords = readPasswordLines(options.passwordFile);
  if (passwords.length === 0 || passwords.length > PASSWORDS_MAXIMUM)
    throw new CliError(
      'USAGE',
      `A user has one password, or two while one is replaced by the other; ${options.passwordFile === '-' ? 'standard input' : options.passwordFile} has ${passwords.length}.`,
    );
  return passwords;
}

async function put(
  client: ApiClient,
  cache: string,
  name: string,
  change: UserChange,
  options: ChangeOptions,
  terminal: Terminal,
  done: string,
): Promise<void> {
  const status = await client.call<UserStatus>(
    'PUT',
    `${usersPath(cache)}/${encodeURIComponent(name)}`,
    { body: change },
  );
  if (options.json) return terminal.out(JSON.stringify(status, null, 2));
  terminal.out(`User ${name} of cache ${cache} is ${done}.`);
  terminal.out(userTable([status], terminal).join('\n'));
}

function usersPath(cache: string): string {
  return `/v1/caches/${encodeURIComponent(cache)}/users`;
}

function userTable(users: readonly UserStatus[], terminal: Terminal): string[] {
  return formatTable(
    [
      { title: 'USER' },
      { title: 'LOGIN' },
      { title: 'PASSWORDS', align: 'right' },
      { title: 'RULES' },
    ],
    users.map((user) => [
      user.name,
      user.enabled ? terminal.paint('green', 'on') : terminal.paint('yellow', 'off'),
      user.nopass ? 'any' : String(user.passwords),
      user.rules,
    ]),
    (text) => terminal.paint('bold', text),
  );
}
