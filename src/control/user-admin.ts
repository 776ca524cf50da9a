/**
 * Users of a cache: what may be changed, and how a change reaches nodes and proxies.
 *
 *   check -> a live node judges the rules -> store -> nodes (ACL SETUSER) -> topology to proxies
 *
 * Taking away goes the other way round: proxies first, which end the user's sessions, then the nodes. A node that cannot
 * be reached is brought up to date later (`sync-users`); its ACL file is right already.
 */
import { randomBytes } from 'node:crypto';
import { NodeReplyError } from '../engine/admin-client.ts';
import { messageOf } from '../lib/errors.ts';
import type { UserChange, UserStatus } from '../model/admin-api.ts';
import type { CacheUser } from '../model/user.ts';
import { checkRules, checkUserName, passwordHash, ruleWords } from './acl-rules.ts';
import { isLoopback, secret } from './admit-cache.ts';
import { ControlError } from './control-error.ts';
import type { Fleet } from './fleet.ts';
import type { Store } from './store.ts';
import type { CacheRecord } from './store-records.ts';

export interface UserAdminDependencies {
  readonly store: Store;
  readonly fleet: Fleet;
  /** Sends the users to the proxies; resolves when all of them have them, or are given up for now. */
  publish(cache: CacheRecord): Promise<void>;
  /** Brings the nodes' rules to the store's; resolves when all live nodes have them, or were given up for now. */
  syncNodes(cache: CacheRecord): Promise<void>;
  event(cache: CacheRecord, kind: string, message: string): void;
}

const PASSWORDS_MAX = 2;

export class UserAdmin {
  readonly #deps: UserAdminDependencies;

  constructor(deps: UserAdminDependencies) {
    this.#deps = deps;
  }

  list(cache: CacheRecord): UserStatus[] {
    return this.#deps.store.users(cache.id).map(statusOf);
  }

  /** Creates the user or changes what the change names. */
  async put(cache: CacheRecord, name: string, change: UserChange): Promise<UserStatus> {
    checkUserName(name);
    const before = this.#deps.store.users(cache.id).find((user) => user.name === name);
    const after = changed(before ?? newUser(name), change);
    this.#check(cache, after);
    if (change.rules !== undefined) await this.#judge(cache, after.rules);
    this.#deps.store.durable(() => this.#deps.store.putUser(cache.id, after));
    if (before === undefined || before.rules !== after.rules) await this.#deps.syncNodes(cache);
    await this.#deps.publish(cache);
    this.#deps.event(
      cache,
      before === undefined ? 'user-created' : 'user-modified',
      `user ${name} of cache ${cache.name} was ${before === undefined ? 'created' : 'modified'}`,
    );
    return statusOf(after);
  }

  /** @throws ControlError UserNotFound */
  async remove(cache: CacheRecord, name: string): Promise<void> {
    const { store } = this.#deps;
    if (!store.users(cache.id).some((user) => user.name === name)) {
      throw new ControlError('UserNotFound', `cache ${cache.name} has no user ${name}`);
    }
    store.durable(() => store.deleteUser(cache.id, name));
    await this.#deps.publish(cache);
    await this.#deps.syncNodes(cache);
    this.#deps.event(cache, 'user-deleted', `user ${name} of cache ${cache.name} was deleted`);
  }

  #check(cache: CacheRecord, user: CacheUser): void {
    const exposed = !isLoopback(cache.spec.bind) && !cache.spec.insecure;
    if (exposed && user.enabled && user.nopass) {
      throw new ControlError(
        'InvalidParameterCombination',
        `cache ${cache.name} can be reached from other machines: a user without a password needs the cache to be insecure`,
      );
    }
  }

  /** The engine itself says whether rules mean something: on the first node that answers. */
  async #judge(cache: CacheRecord, rules: string): Promise<void> {
    const { store, fleet } = this.#deps;
    checkRules(rules);
    let cause: unknown;
    for (const node of store.nodes(cache.id)) {
      if (!fleet.isAlive(node.id)) continue;
      try {
        await this.#judgeOn(node.id, rules);
        return;
      } catch (error) {
        if (error instanceof ControlError) throw error;
        cause = error;
      }
    }
    throw new ControlError(
      'ServiceUnavailable',
      `no node of cache ${cache.name} answers that could check the rules`,
      { cause },
    );
  }

  /** With a user that is off and has no password, under a name nobody has. */
  async #judgeOn(nodeId: string, rules: string): Promise<void> {
    const { fleet } = this.#deps;
    const probe = `springtide-check-${randomBytes(8).toString('hex')}`;
    try {
      await fleet.call(nodeId, ['ACL', 'SETUSER', probe, 'reset', ...ruleWords(rules)]);
    } catch (error) {
      if (error instanceof NodeReplyError) {
        throw new ControlError('InvalidParameterValue', engineWords(error), { cause: error });
      }
      throw error;
    } finally {
      await fleet.call(nodeId, ['ACL', 'DELUSER', probe]).catch(() => undefined);
    }
  }
}

/** What the engine said, without where it was said and its error code. */
function engineWords(error: NodeReplyError): string {
  return messageOf(error.cause).replace(/^ERR /, '');
}

/** As ACL SETUSER of a new name: off, no password, no rules. */
function newUser(name: string): CacheUser {
  return {
    name,
    enabled: false,
    nopass: false,
    passwordHashes: [],
    rules: '',
    upstreamSecret: secret(),
  };
}

/**
 * A password takes the place of `nopass`, as in the engine.
 *
 * @throws ControlError InvalidParameterValue, InvalidParameterCombination
 */
export function changed(user: CacheUser, change: UserChange): CacheUser {
  const { passwords } = change;
  if (passwords !== undefined && passwords.length > PASSWORDS_MAX) {
    throw new ControlError(
      'InvalidParameterValue',
      `a user has at most ${PASSWORDS_MAX} passwords, the old and the new one of a rotation`,
    );
  }
  if (change.nopass === true && passwords !== undefined && passwords.length > 0) {
    throw new ControlError(
      'InvalidParameterCombination',
      'a user has passwords or needs none: leave out one of passwords and nopass',
    );
  }
  const nopass =
    change.nopass ?? (passwords !== undefined && passwords.length > 0 ? false : user.nopass);
  const passwordHashes =
    passwords === undefined
      ? nopass
        ? []
        : user.passwordHashes
      : [...new Set(passwords.map(passwordHash))];
  return {
    ...user,
    enabled: change.enabled ?? user.enabled,
    nopass,
    passwordHashes,
    rules: change.rules === undefined ? user.rules : ruleWords(change.rules).join(' '),
  };
}

function statusOf(user: CacheUser): UserStatus {
  return {
    name: user.name,
    enabled: user.enabled,
    nopass: user.nopass,
    passwords: user.passwordHashes.length,
    rules: user.rules,
  };
}
