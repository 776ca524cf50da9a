/**
 * One connection to one node, shared by many clients. Requests go out in the order in which they are given, replies come
 * back in that order, so the list of requests under way is all it has to remember. It knows nothing of slots or retries:
 * error replies and losses go to its owner.
 *
 *   send() -> out queue -> (end of the turn) one write      reply bytes -> boundaries -> the head request's sink
 */
import { connect, type Socket } from 'node:net';
import { REPLY_INCOMPLETE, REPLY_MALFORMED, ReplyScanner } from '../../protocol/reply-scanner.ts';
import type { ReadBuffer } from '../io/read-buffer.ts';
import { RequestQueue } from './request-queue.ts';
import { REQUEST_SENT, REQUEST_WAITING, type Request } from './request.ts';
import type { Flushable, Turn } from '../io/turn.ts';

export interface UpstreamOwner {
  /** A reply that begins with `-`, the whole of it; the request is in no list any more. */
  onErrorReply(upstream: Upstream, request: Request, buf: Buffer, start: number, end: number): void;
  /** A request that is not repeatable has been answered, and nobody has been told yet. */
  onExecuted(request: Request): void;
  /** The connection is gone before the reply came. `sent`: the node may have executed it. */
  onLost(upstream: Upstream, request: Request, sent: boolean): void;
  /** A RESP3 push, or any reply that no request waits for (MONITOR's lines). */
  onPush(upstream: Upstream, buf: Buffer): void;
  onReady(upstream: Upstream): void;
  /** After the onLost calls. `error` says why when it did not close by our own will. */
  onClosed(upstream: Upstream, error: Error | null): void;
  /** The node takes bytes again after `congested`. */
  onDrain(upstream: Upstream): void;
}

export interface UpstreamAddress {
  readonly host: string;
  readonly port: number;
}

/** What is said on a new connection before it is used: encoded commands, and how many replies they get. */
export interface Handshake {
  /** A promise where something else has to be known first; when it fails, so does the connection. */
  readonly bytes: Buffer | Promise<Buffer>;
  readonly replies: number;
}

const ASKING = Buffer.from('*1\r\n$6\r\nASKING\r\n');
/** The id in HELLO's reply, RESP2 and RESP3. */
const HELLO_ID = /\$2\r\nid\r\n:(\d+)\r\n/;
const MINUS = 45;
const GREATER = 62;
/** Bytes that may wait for a node before clients are not read any more. */
const CONGESTED_BYTES = 4 * 1024 * 1024;

const REPLY_WHOLE = 0;
const REPLY_STREAMED = 1;
const REPLY_KEPT = 2;

export class Upstream implements Flushable {
  readonly address: UpstreamAddress;
  /** Index of the node in its cache's list. */
  readonly node: number;
  flushScheduled = false;
  ready = false;
  closed = false;
  /** The node does not keep up: read no more from clients that want it. */
  congested = false;
  pending = 0;
  /** The engine's id of this connection, from HELLO; 0 before. */
  clientId = 0;
  /** performance.now() * 1000 of the last bytes received, or of the first request after silence. */
  lastActivityUs = 0;

  readonly #owner: UpstreamOwner;
  readonly #turn: Turn;
  readonly #socket: Socket;
  readonly #out = new RequestQueue();
  readonly #scanner = new ReplyScanner();
  #handshakeReplies: number;
  #head: Request | null = null;
  #tail: Request | null = null;
  /** Requests at the end of the list whose bytes the socket has not been given. */
  #unsent = 0;
  /** How the reply that is half read is treated. */
  #mode = REPLY_WHOLE;
  #firstByte = 0;
  #pushParts: Buffer[] = [];
  #error: Error | null = null;

  constructor(
    address: UpstreamAddress,
    node: number,
    handshake: Handshake,
    owner: UpstreamOwner,
    turn: Turn,
    read: ReadBuffer,
  ) {
    this.address = address;
    this.node = node;
    this.#owner = owner;
    this.#turn = turn;
    this.#handshakeReplies = handshake.replies;
    const socket = connect({
      host: address.host,
      port: address.port,
      noDelay: true,
      keepAlive: true,
      // One buffer for every connection of the process: a read costs no allocation (bench: a tenth of the CPU at pipeline 1).
      onread: {
        buffer: read.bytes,
        callback: (length) => {
          this.#onData(read.bytes, length);
          return true;
        },
      },
    });
    this.#socket = socket;
    socket.on('connect', () => {
      if (handshake.replies === 0) this.#becomeReady();
      else if (!(handshake.bytes instanceof Promise)) socket.write(handshake.bytes);
      else
        handshake.bytes.then(
          (bytes) => socket.write(bytes),
          (error: Error) => this.destroy(error),
        );
    });
    socket.on('drain', () => this.#onDrain());
    // Nobody is there any more: what is written now would count as sent, and its outcome as unknown.
    socket.on('end', () => socket.destroy());
    socket.on('error', (error) => (this.#error = error));
    socket.on('close', () => this.#onClose());
  }

  /** Something is under way, and nobody waits for it any more. */
  get abandoned(): boolean {
    for (let request = this.#head; request !== null; request = request.nextUpstream)
      if (!request.sink!.abandoned) return false;
    return this.#head !== null;
  }

  /** Nothing is under way but what may be asked again, and nothing that a client has half of. */
  get onlyReads(): boolean {
    for (let request = this.#head; request !== null; request = request.nextUpstream)
      if (!request.repeatable || request.streaming) return false;
    return true;
  }

  /** Sends a request after all that were sent before. Hot. */
  send(request: Request): void {
    if (this.closed) {
      this.#owner.onLost(this, request, false);
      return;
    }
    request.state = REQUEST_SENT;
    request.nextUpstream = null;
    if (this.#tail === null) this.#head = request;
    else this.#tail.nextUpstream = request;
    this.#tail = request;
    if (this.pending === 0) this.lastActivityUs = this.#turn.nowUs;
    this.pending++;
    this.#unsent++;
    if (request.asking) {
      this.#out.appendBytes(ASKING, 0, ASKING.length);
      request.skipReplies++;
    }
    this.#out.append(request);
    if (this.ready && !this.flushScheduled) this.#turn.flushUpstream(this);
  }

  /** Sends bytes whose replies come to `onPush`: for connections that are never given a request (subscriptions). */
  sendUnpaired(bytes: Buffer): void {
    if (this.closed) return;
    this.#out.appendBytes(bytes, 0, bytes.length);
    this.#turn.flushUpstream(this);
  }

  flush(): void {
    // Destroyed, but `close` is still to come: what waits here is not sent.
    if (this.closed || !this.ready || this.#socket.destroyed) return;
    this.#unsent = 0;
    this.#out.flushTo(this.#socket);
    if (this.#socket.writableLength > CONGESTED_BYTES) this.congested = true;
  }

  /** Closes without waiting for replies; requests under way are lost. */
  destroy(reason: Error | null = null): void {
    this.#error ??= reason;
    this.#socket.destroy();
  }

  #becomeReady(): void {
    this.ready = true;
    this.#turn.flushUpstream(this);
    this.#owner.onReady(this);
  }

  /** `chunk[0, length)` holds only until this returns. */
  #onData(chunk: Buffer, length: number): void {
    this.#turn.tick();
    this.lastActivityUs = this.#turn.nowUs;
    let pos = 0;
    while (pos < length) {
      if (!this.#scanner.midReply) this.#firstByte = chunk[pos]!;
      const end = this.#scanner.scan(chunk, pos, length);
      if (end === REPLY_INCOMPLETE) {
        this.#keepPiece(chunk, pos, length);
        return;
      }
      if (end === REPLY_MALFORMED) {
        this.destroy(new Error('the node sent bytes that are not RESP'));
        return;
      }
      this.#finishReply(chunk, pos, end);
      if (this.closed) return;
      pos = end;
    }
  }

  #finishReply(chunk: Buffer, start: number, end: number): void {
    const head = this.#head;
    if (this.#firstByte === GREATER || this.#handshakeReplies > 0 || head === null) {
      this.#finishOther(chunk.subarray(start, end));
      return;
    }
    const mode = this.#mode;
    this.#mode = REPLY_WHOLE;
    if (head.skipReplies > 0) {
      head.skipReplies--;
      if (this.#firstByte === MINUS) {
        // Why a transaction will be aborted: kept, because EXECABORT itself does not say it.
        head.skippedError ??= Buffer.concat([
          ...(head.replyParts ?? []),
          chunk.subarray(start, end),
        ]);
      }
      head.replyParts = null;
      return;
    }
    this.#head = head.nextUpstream;
    if (this.#head === null) this.#tail = null;
    head.nextUpstream = null;
    this.pending--;
    if (!head.repeatable) this.#owner.onExecuted(head);
    if (mode === REPLY_STREAMED) {
      head.sink!.onLastPiece(head, chunk, start, end);
      return;
    }
    if (mode === REPLY_KEPT) {
      const parts = head.replyParts!;
      if (this.#firstByte !== MINUS && head.sink!.takesParts === true) {
        parts.push(Buffer.from(chunk.subarray(start, end)));
        head.sink!.onReply(head, parts[0]!, 0, parts[0]!.length);
        return;
      }
      parts.push(chunk.subarray(start, end));
      chunk = Buffer.concat(parts);
      head.replyParts = null;
      start = 0;
      end = chunk.length;
    }
    if (this.#firstByte === MINUS) this.#owner.onErrorReply(this, head, chunk, start, end);
    else head.sink!.onReply(head, chunk, start, end);
  }

  /** A reply of the handshake, a push, or a line that no request asked for. */
  #finishOther(last: Buffer): void {
    const reply = Buffer.concat([...this.#pushParts, last]);
    this.#pushParts = [];
    if (this.#firstByte === GREATER || this.#handshakeReplies === 0) {
      this.#owner.onPush(this, reply);
      return;
    }
    if (this.#firstByte === MINUS) {
      this.destroy(
        new Error(
          `the node refused the handshake: ${reply.toString('latin1', 1, reply.length - 2)}`,
        ),
      );
      return;
    }
    if (this.clientId === 0)
      this.clientId = Number(HELLO_ID.exec(reply.toString('latin1'))?.[1] ?? 0);
    this.#handshakeReplies--;
    if (this.#handshakeReplies === 0) this.#becomeReady();
  }

  /** Part of a reply that goes on in the next chunk. */
  #keepPiece(chunk: Buffer, start: number, end: number): void {
    const head = this.#head;
    if (this.#firstByte === GREATER || this.#handshakeReplies > 0 || head === null) {
      this.#pushParts.push(Buffer.from(chunk.subarray(start, end)));
      return;
    }
    const sink = head.sink!;
    // What is kept goes on being kept, unless for nobody.
    const asked = this.#mode !== REPLY_KEPT || sink.abandoned;
    if (asked && head.skipReplies === 0 && this.#firstByte !== MINUS) {
      if (sink.onPiece(head, chunk, start, end)) {
        this.#mode = REPLY_STREAMED;
        head.streaming = true;
        this.#dropKept(head);
        return;
      }
    }
    this.#mode = REPLY_KEPT;
    (head.replyParts ??= []).push(Buffer.from(chunk.subarray(start, end)));
    if (head.skipReplies > 0) return;
    head.keptBytes += end - start;
    sink.onKept?.(head, end - start);
  }

  #dropKept(request: Request): void {
    request.replyParts = null;
    if (request.keptBytes > 0) request.sink!.onKept?.(request, -request.keptBytes);
    request.keptBytes = 0;
  }

  #onDrain(): void {
    if (!this.congested) return;
    this.congested = false;
    this.#owner.onDrain(this);
  }

  #onClose(): void {
    if (this.closed) return;
    this.closed = true;
    this.ready = false;
    this.#turn.tick();
    this.#out.clear();
    let request = this.#head;
    this.#head = null;
    this.#tail = null;
    let sent = this.pending - this.#unsent;
    this.pending = 0;
    while (request !== null) {
      const next: Request | null = request.nextUpstream;
      request.nextUpstream = null;
      this.#dropKept(request);
      request.skipReplies = 0;
      request.state = REQUEST_WAITING;
      if (request.streaming) request.sink!.onBroken(request);
      else this.#owner.onLost(this, request, sent > 0);
      sent--;
      request = next;
    }
    this.#owner.onClosed(this, this.#error);
  }
}
