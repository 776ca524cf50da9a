/**
 * The admin connection to one process of a node: made as the system user, and made again whenever it breaks, until it is
 * closed. Another process of the same node gets another link.
 */
import type { Logger } from 'pino';
import { AdminClient } from '../engine/admin-client.ts';
import type { HostedNode } from '../engine/host.ts';
import { NodeError } from '../engine/node-error.ts';
import { SYSTEM_USER_NAME } from '../model/user.ts';

const RECONNECT_MS = 50;

export class NodeLink {
  readonly #process: HostedNode;
  readonly #password: string;
  readonly #log: Logger;
  #admin: AdminClient | null = null;
  #closed = false;

  constructor(process: HostedNode, password: string, log: Logger) {
    this.#process = process;
    this.#password = password;
    this.#log = log;
  }

  /** @throws NodeError NODE_UNREACHABLE while there is no connection */
  get admin(): AdminClient {
    if (this.#admin === null) throw unreachable(this.#process.nodeId);
    return this.#admin;
  }

  get isOpen(): boolean {
    return this.#admin !== null;
  }

  /** Connects; resolves after the first try, which may have failed: others follow. */
  async open(): Promise<void> {
    const { host, port, nodeId } = this.#process;
    let admin: AdminClient;
    try {
      admin = await AdminClient.connect({
        host,
        port,
        username: SYSTEM_USER_NAME,
        password: this.#password,
      });
    } catch (error) {
      if (this.#closed) return;
      this.#log.warn({ node: nodeId, err: error }, 'node cannot be talked to');
      this.#openLater();
      return;
    }
    if (this.#closed) {
      admin.close();
      return;
    }
    this.#admin = admin;
    admin.onClose(() => {
      this.#admin = null;
      this.#openLater();
    });
  }

  close(): void {
    this.#closed = true;
    this.#admin?.close();
    this.#admin = null;
  }

  #openLater(): void {
    if (this.#closed) return;
    setTimeout(() => {
      if (!this.#closed) void this.open();
    }, RECONNECT_MS).unref();
  }
}

export function unreachable(nodeId: string): NodeError {
  return new NodeError('NODE_UNREACHABLE', `There is no connection to node ${nodeId}.`);
}
