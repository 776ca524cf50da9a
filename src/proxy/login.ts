/**
 * Who a session is. The proxy checks the client's password against the cache's users and puts the session on the lane
 * that is logged in upstream as that user; what the user may do is checked by the engine.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { DEFAULT_USER_NAME } from '../model/user.ts';
import type { CacheService } from './cache-service.ts';
import { errorReply } from './proxy-error.ts';
import type { Session } from './session.ts';

export const WRONG_PASSWORD = errorReply(
  'WRONGPASS invalid username-password pair or user is disabled.',
);

/** A wrong password is answered later and later, per address: 50 ms, doubled each time up to 2 s; forgotten after this. */
const FIRST_DELAY_MS = 50;
const DELAY_MAXIMUM_MS = 2000;
const FORGET_MS = 60_000;
const ADDRESSES_MAXIMUM = 10_000;

export class Login {
  readonly #service: CacheService;
  readonly #failures = new Map<string, { delayMs: number; atMs: number }>();

  constructor(service: CacheService) {
    this.#service = service;
  }

  /** A new session: logged in when the default user needs no password, as on a fresh server. */
  begin(session: Session): void {
    const user = this.#service.user(DEFAULT_USER_NAME);
    session.client.user = DEFAULT_USER_NAME;
    session.authenticated = user !== undefined && user.enabled && user.nopass;
    if (session.authenticated) this.takeLane(session);
    session.service.commands.updateSpecial(session);
  }

  /** Is this the user's password? Takes its time when it is not. On success the session is that user. */
  async authenticate(session: Session, name: string, password: Buffer): Promise<boolean> {
    const user = this.#service.user(name);
    const hash = createHash('sha256').update(password).digest();
    let right = false;
    // All are compared, so that the time says nothing about which.
    for (const known of user?.passwordHashes ?? []) {
      if (timingSafeEqual(hash, Buffer.from(known, 'hex'))) right = true;
    }
    if (user !== undefined && user.enabled && (right || user.nopass)) {
      session.client.user = name;
      session.authenticated = true;
      this.takeLane(session);
      return true;
    }
    this.#service.router.meter.authFailures++;
    await this.#punish(session.socket.remoteAddress ?? '');
    return false;
  }

  /** Is a password needed at all for `AUTH <password>`? The engine's words when not. */
  defaultUserNeedsPassword(): boolean {
    return this.#service.user(DEFAULT_USER_NAME)?.nopass !== true;
  }

  selectDatabase(session: Session, database: number): void {
    session.client.database = database;
    this.takeLane(session);
  }

  /** Puts the session on the lane that fits its state. */
  takeLane(session: Session): void {
    const { client } = session;
    const user = this.#service.user(client.user);
    if (user === undefined) return;
    const tracking = client.tracking?.forLane(client.resp);
    const lane = this.#service.router.connections.lane({
      user: client.user,
      secret: user.upstreamSecret,
      systemSecret: this.#service.cache.systemSecret,
      resp: client.resp,
      database: client.database,
      readonly: session.reader,
      sharded: this.#service.cache.sharding,
      noTouch: client.noTouch,
      ...(tracking === undefined ? {} : { tracking }),
    });
    if (tracking !== undefined) client.tracking!.adopt(lane);
    if (session.lane === lane) return;
    if (session.lane !== null) session.lane.sessions--;
    session.lane = lane;
    lane.sessions++;
  }

  async #punish(address: string): Promise<void> {
    const now = Date.now();
    const last = this.#failures.get(address);
    const recent = last !== undefined && now - last.atMs < FORGET_MS;
    const delayMs = recent ? Math.min(last.delayMs * 2, DELAY_MAXIMUM_MS) : FIRST_DELAY_MS;
    if (this.#failures.size >= ADDRESSES_MAXIMUM) this.#failures.clear();
    this.#failures.set(address, { delayMs, atMs: now });
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
}
