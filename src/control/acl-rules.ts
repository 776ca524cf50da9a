/**
 * How users of a cache become users of its nodes.
 *
 * On a node a user has exactly one password, the internal secret with which proxies log in, and is always `on`: whether
 * a client may come in, and with which password, is the proxy's business. That way a password change touches no node,
 * and `off` lets sessions that are in stay in, as AWS words it, also when a proxy has to open a new connection for them.
 */
import { createHash } from 'node:crypto';
import { DEFAULT_USER_NAME, SYSTEM_USER_NAME, type CacheUser } from '../model/user.ts';
import { ControlError } from './control-error.ts';

/** Modifiers that are not access rules: they would give the node's user a password, or take the internal one away. */
const NOT_A_RULE = /^(?:[<>#!].*|on|off|nopass|resetpass|reset)$/i;
const USER_NAME = /^[^\s\0"'\\]{1,128}$/;

/** Splits ACL rules as the engine's ACL file does: at white space; a selector in brackets stays several words. */
export function ruleWords(rules: string): string[] {
  return rules.split(/\s+/).filter((word) => word !== '');
}

/**
 * Refuses what is not an access rule. Whether the words mean something is the engine's to say.
 *
 * @throws ControlError InvalidParameterValue
 */
export function checkRules(rules: string): void {
  for (const word of ruleWords(rules)) {
    if (NOT_A_RULE.test(word)) {
      throw new ControlError(
        'InvalidParameterValue',
        `the rules may not contain '${/^[<>#!]/.test(word) ? `${word[0]}...` : word}': passwords and on/off are set apart from the rules`,
      );
    }
    // A line break or NUL cannot get here (white space split), but a control character would end up in a file.
    // oxlint-disable-next-line no-control-regex -- that is what is looked for
    if (/[\0-\x1f\x7f]/.test(word)) {
      throw new ControlError('InvalidParameterValue', 'the rules contain a control character');
    }
  }
}

/** @throws ControlError InvalidParameterValue for a name the engine or its ACL file could not hold */
export function checkUserName(name: string): void {
  if (!USER_NAME.test(name)) {
    throw new ControlError(
      'InvalidParameterValue',
      'a user name has 1 to 128 characters, without white space, quotes and backslashes',
    );
  }
  if (name === SYSTEM_USER_NAME) {
    throw new ControlError(
      'InvalidParameterValue',
      `the user name ${SYSTEM_USER_NAME} is reserved`,
    );
  }
}

/** SHA-256 in lower-case hex, the form in which ACL keeps passwords. */
export function passwordHash(password: string): string {
  return createHash('sha256').update(password, 'utf8').digest('hex');
}

/**
 * Arguments of ACL SETUSER after the name: the whole definition, beginning with `reset`. The engine applies them to a
 * copy and swaps it in at once, so a live connection never sees the state in between.
 */
export function nodeUserRules(user: CacheUser): string[] {
  return ['reset', 'on', `#${passwordHash(user.upstreamSecret)}`, ...ruleWords(user.rules)];
}

/** What `default` is on a node of a cache that has no such user: it exists on every engine and cannot be removed. */
export const NO_DEFAULT_USER: readonly string[] = ['reset', 'off'];

function systemUserRules(systemSecret: string): string[] {
  return ['reset', 'on', `#${passwordHash(systemSecret)}`, '~*', '&*', '+@all'];
}

/** Lines of the aclfile of every node of a cache. They hold only hashes of the secrets; the file is 0600 all the same. */
export function aclLines(users: readonly CacheUser[], systemSecret: string): string[] {
  const lines = [`user ${SYSTEM_USER_NAME} ${systemUserRules(systemSecret).join(' ')}`];
  if (!users.some((user) => user.name === DEFAULT_USER_NAME)) {
    lines.push(`user ${DEFAULT_USER_NAME} ${NO_DEFAULT_USER.join(' ')}`);
  }
  for (const user of users) lines.push(`user ${user.name} ${nodeUserRules(user).join(' ')}`);
  return lines;
}
