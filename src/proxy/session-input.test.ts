/** What a session's input tells of what it holds: without a socket, a proxy or a node. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { it } from 'node:test';
import { encodeRequest } from '../protocol/request-encoder.ts';
import { RequestScanner } from '../protocol/request-scanner.ts';
import { SessionInput, type InputOwner } from './session-input.ts';

class Owner implements InputOwner {
  readonly socket = { pause() {}, resume() {} } as unknown as Socket;
  readonly authenticated = true;
  readonly scanner = new RequestScanner();
  readonly requestMaximumBytes = Infinity;
  readonly memory = { memoryCounted: true, note: () => this.noteMemory() };
  stalled = false;
  /** Does it take requests? */
  takes = true;
  taken = 0;
  /** Bytes held when that was last told. */
  notedBytes = 0;
  readonly input = new SessionInput(this);

  noteMemory(): void {
    this.notedBytes = this.input.sizeBytes;
  }

  takeRequest(): boolean {
    if (this.takes) this.taken++;
    return this.takes;
  }

  fail(text: string): void {
    assert.fail(text);
  }
}

const REQUEST = encodeRequest(['SET', 'key', 'x'.repeat(200_000)]);

it('what comes while the session is stalled is counted, and no more when it has been taken', () => {
  const owner = new Owner();
  owner.stalled = true;
  owner.input.receive(REQUEST, REQUEST.length);
  assert.equal(owner.notedBytes, REQUEST.length);
  owner.stalled = false;
  owner.input.resume();
  assert.equal(owner.taken, 1);
  assert.equal(owner.notedBytes, 0);
});

it('a request that came in pieces and has to wait is counted', () => {
  const owner = new Owner();
  owner.takes = false;
  const half = Math.floor(REQUEST.length / 2);
  owner.input.receive(REQUEST.subarray(0, half), half);
  owner.input.receive(REQUEST.subarray(half), REQUEST.length - half);
  assert.equal(owner.input.sizeBytes, REQUEST.length);
  assert.equal(owner.notedBytes, REQUEST.length);
});

it('what follows a request that stalls the session is counted', () => {
  const owner = new Owner();
  const two = Buffer.concat([REQUEST, REQUEST]);
  owner.takeRequest = () => {
    owner.taken++;
    return (owner.stalled = true);
  };
  owner.input.receive(two, two.length);
  assert.equal(owner.taken, 1);
  assert.equal(owner.notedBytes, REQUEST.length);
});
