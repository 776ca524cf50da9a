/** A cache's certificate, read again when its files change, so that a renewed one needs no restart. */
import { readFileSync, statSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, TLSSocket, type SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { messageOf } from '../../lib/errors.ts';
import type { EndpointTls } from '../../model/topology.ts';

const CHECK_MS = 2000;

export class TlsContext {
  readonly mode: EndpointTls['mode'];
  readonly #tls: EndpointTls;
  readonly #log: Logger;
  readonly #ticketKeys: Buffer;
  readonly #timer: NodeJS.Timeout;
  #context: SecureContext;
  #stamp: string;
  /** Of the files that could not be used; empty for files that could not be read. */
  #refusedStamp: string | null = null;

  /**
   * @param ticketKeys 48 bytes shared by all proxies of the endpoint, so that a client resumes its TLS session at any of
   * them; null makes them for this process alone
   * @throws when the files cannot be read or are no certificate and key
   */
  constructor(tls: EndpointTls, ticketKeys: Buffer | null, log: Logger) {
    this.mode = tls.mode;
    this.#tls = tls;
    this.#log = log;
    this.#ticketKeys = ticketKeys ?? randomBytes(48);
    this.#stamp = this.#readStamp();
    this.#context = this.#load();
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  wrap(socket: Socket): TLSSocket {
    return new TLSSocket(socket, {
      isServer: true,
      secureContext: this.#context,
      requestCert: false,
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    let stamp = '';
    try {
      stamp = this.#readStamp();
      if (stamp === this.#stamp || stamp === this.#refusedStamp) return;
      this.#context = this.#load();
      this.#stamp = stamp;
      this.#log.info({ certFile: this.#tls.certFile }, 'certificate reloaded');
    } catch (error) {
      // Half-written or wrong: the old one goes on; the next change is looked at again, this one is told once.
      if (stamp === this.#refusedStamp) return;
      this.#refusedStamp = stamp;
      this.#log.warn(
        { certFile: this.#tls.certFile, err: messageOf(error) },
        'certificate not reloaded',
      );
    }
  }

  #readStamp(): string {
    return [this.#tls.certFile, this.#tls.keyFile]
      .map((file) => {
        const { mtimeMs, ino, size } = statSync(file);
        return `${mtimeMs}/${ino}/${size}`;
      })
      .join(' ');
  }

  #load(): SecureContext {
    return createSecureContext({
      cert: readFileSync(this.#tls.certFile),
      key: readFileSync(this.#tls.keyFile),
      ticketKeys: this.#ticketKeys,
      minVersion: 'TLSv1.2',
      sessionIdContext: 'springtide',
    });
  }
}
