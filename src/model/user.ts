/**
 * Users of a cache. Access rules are Valkey ACL rules and Valkey enforces them; passwords are checked by the proxy, which
 * then logs in to the nodes with the user's internal secret (DESIGN: "Users are the engine's").
 */

/** A user as the control plane stores it and as a proxy needs it. */
export interface CacheUser {
  readonly name: string;
  /** `off` blocks new AUTH; sessions that are in stay in (AWS's words: "off only blocks new AUTH"). */
  readonly enabled: boolean;
  /** Any password is right (a fresh server's `default`). */
  readonly nopass: boolean;
  /** SHA-256 of each accepted password, lower-case hex; at most two, for rotation. */
  readonly passwordHashes: readonly string[];
  /** ACL rules without on/off and passwords, e.g. `~app:* &* +@all`. */
  readonly rules: string;
  /** The internal second password with which proxies log in upstream as this user. A secret. */
  readonly upstreamSecret: string;
}

/** The user of a fresh server: every command, every key, no password. */
export const DEFAULT_USER_NAME = 'default';
export const DEFAULT_USER_RULES = '~* &* +@all';
/** The control plane's own user on every node. Hidden from ACL LIST and the like. */
export const SYSTEM_USER_NAME = 'springtide-system';
