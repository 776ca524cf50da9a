/**
 * The shared connections of one kind: same user, RESP version, database and options. Sessions of one kind share a lane,
 * and a lane has one connection for each node it has been asked to reach (DESIGN, "Multiplex").
 */
import { SYSTEM_USER_NAME } from '../../model/user.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';
import type { Handshake, Upstream } from './upstream.ts';

export interface LaneKind {
  readonly user: string;
  readonly secret: string;
  /** The system user's: what sets a connection up is not for the user's rules to forbid. */
  readonly systemSecret: string;
  readonly resp: 2 | 3;
  readonly database: number;
  /** Reads go to replicas. */
  readonly readonly: boolean;
  /** The nodes are a cluster: a replica serves reads only after READONLY. */
  readonly sharded: boolean;
  /** CLIENT NO-TOUCH ON. */
  readonly noTouch: boolean;
  /** CLIENT TRACKING: makes it the lane of one session alone. */
  readonly tracking?: LaneTracking;
}

/** Invalidations belong to the connection that has read: a client that tracks has connections of its own. */
export interface LaneTracking {
  /** Unlike that of any other. */
  readonly key: string;
  /** What a new connection to `node` says: as any of its kind, and then that it tracks. */
  handshake(kind: LaneKind, node: number): Handshake;
  onPush(push: Buffer): void;
  /** A connection is gone, and what it had read is tracked no more. */
  onClosed(node: number): void;
}

export class Lane {
  readonly key: string;
  readonly kind: LaneKind;
  /** By node index; null where there is no connection. */
  readonly upstreams: (Upstream | null)[] = [];
  /** Private connections of this kind that are free, by node index. */
  readonly free: Upstream[][] = [];
  /** Sessions on it. */
  sessions = 0;
  /** performance.now() since when it has had no session. */
  idleSinceMs = 0;
  readonly #handshake: Handshake;

  constructor(kind: LaneKind) {
    this.key = laneKey(kind);
    this.kind = kind;
    this.#handshake = laneHandshake(kind);
  }

  handshake(node: number): Handshake {
    return this.kind.tracking?.handshake(this.kind, node) ?? this.#handshake;
  }
}

/** Equal kinds have equal keys. */
export function laneKey(kind: LaneKind): string {
  return `${kind.resp}/${kind.database}/${kind.readonly ? 1 : 0}/${kind.sharded ? 1 : 0}/${kind.noTouch ? 1 : 0}/${kind.tracking?.key ?? ''}/${kind.secret}/${kind.user}`;
}

/** What a connection of this kind says first: set up as the system user, it then becomes the user's. */
export function laneHandshake(kind: LaneKind): Handshake & { readonly bytes: Buffer } {
  const commands: (string | number)[][] = [
    [
      'HELLO',
      kind.resp,
      'AUTH',
      SYSTEM_USER_NAME,
      kind.systemSecret,
      'SETNAME',
      'springtide-proxy',
    ],
  ];
  if (kind.database !== 0) commands.push(['SELECT', kind.database]);
  if (kind.readonly && kind.sharded) commands.push(['READONLY']);
  // An unsharded primary that became a replica then refuses reads too (-REDIRECT), as a sharded one does with MOVED: a read
  // of a pipeline would else be answered there, and the write before it, refused, would come too late.
  if (!kind.readonly && kind.user !== SYSTEM_USER_NAME)
    commands.push(['CLIENT', 'CAPA', 'redirect']);
  if (kind.noTouch) commands.push(['CLIENT', 'NO-TOUCH', 'ON']);
  if (kind.user !== SYSTEM_USER_NAME) commands.push(['AUTH', kind.user, kind.secret]);
  return {
    bytes: Buffer.concat(commands.map((command) => encodeRequest(command))),
    replies: commands.length,
  };
}
