import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import {
  LIMIT_ADMITTED,
  LIMIT_REFUSED,
  LIMIT_WAIT,
  RequestLimit,
  type LimitedClient,
} from './request-limit.ts';

const DEADLINE_MS = 1000;

/** A limit on a clock of its own, and clients that want so many requests at once. */
function setUp(t: TestContext, maximum: number, proxies = 1) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  const limit = new RequestLimit(
    () => DEADLINE_MS,
    () => nowMs,
  );
  limit.setMaximum(maximum, proxies);
  t.after(() => limit.close());
  const ready: Client[] = [];

  class Client implements LimitedClient {
    wanted: number;
    served = 0;
    refused = 0;
    constructor(wanted: number) {
      this.wanted = wanted;
    }
    onAdmitted(): void {
      ready.push(this);
    }
    /** As a session reads on: until it is stalled or has nothing more to say. */
    go(): void {
      while (this.wanted > 0) {
        const verdict = limit.admit(this);
        if (verdict === LIMIT_WAIT) return;
        this.wanted--;
        if (verdict === LIMIT_ADMITTED) this.served++;
        else this.refused++;
      }
      limit.settle(this);
    }
  }

  const pass = (ms: number) => {
    for (let i = 0; i < ms; i++) {
      nowMs++;
      t.mock.timers.tick(1);
      for (const client of ready.splice(0)) client.go();
    }
  };
  return { limit, pass, client: (wanted: number) => new Client(wanted) };
}

suite('RequestLimit', () => {
  test('without a limit nobody has to ask', (t) => {
    const { limit, client } = setUp(t, 0);
    assert.equal(limit.active, false);
    const one = client(10_000);
    one.go();
    assert.equal(one.served, 10_000);
  });

  test('a burst, then the rate; all are served, none is refused', (t) => {
    const { limit, pass, client } = setUp(t, 1000);
    const one = client(2000);
    one.go();
    assert.equal(one.served, 250);
    pass(1000);
    assert.ok(Math.abs(one.served - 1250) <= 5, String(one.served));
    pass(1000);
    assert.equal(one.served, 2000);
    assert.equal(one.refused, 0);
    assert.ok(limit.throttled > 0);
    assert.ok(Math.abs(limit.waitedMs - 1750) < 20, String(limit.waitedMs));
  });

  test('clients get the same, however much each of them asks for', (t) => {
    const { pass, client } = setUp(t, 1000);
    client(250).go();
    const greedy = client(100_000);
    const modest = Array.from({ length: 4 }, () => client(1000));
    for (const each of [greedy, ...modest]) each.go();
    pass(1000);
    for (const { served } of [greedy, ...modest])
      assert.ok(Math.abs(served - 200) <= 10, String(served));
  });

  test('what a reply cost is waited for by those who come next', (t) => {
    const { limit, pass, client } = setUp(t, 1000);
    client(1).go();
    limit.charge(250 + 499);
    const next = client(1);
    next.go();
    pass(490);
    assert.equal(next.served, 0);
    pass(20);
    assert.equal(next.served, 1);
  });

  test('refused at once is what would wait longer than the deadline', (t) => {
    const { limit, client } = setUp(t, 1000);
    limit.charge(250 + 1001);
    assert.equal(limit.admit(client(1)), LIMIT_REFUSED);
    assert.equal(limit.refused, 1);
    assert.equal(limit.throttled, 0);
  });

  test('refused when its time is up is what has waited in vain', (t) => {
    const { limit, pass, client } = setUp(t, 1000);
    limit.charge(250 + 900);
    const one = client(1);
    one.go();
    limit.setShare(1);
    pass(DEADLINE_MS + 10);
    assert.equal(one.served, 0);
    assert.equal(one.refused, 1);
  });

  test('a client that has gone holds nothing: neither a place nor what it was granted', (t) => {
    const { limit, pass, client } = setUp(t, 4);
    client(1).go();
    const waits = client(1);
    waits.go();
    limit.leave(waits);
    const granted: LimitedClient = { onAdmitted: () => limit.leave(granted) };
    assert.equal(limit.admit(granted), LIMIT_WAIT);
    pass(300);
    const last = client(1);
    last.go();
    pass(300);
    assert.equal(last.served, 1);
  });

  test('nor does one that is held up when its turn comes', (t) => {
    const { limit, pass, client } = setUp(t, 4);
    client(1).go();
    assert.equal(limit.admit({ onAdmitted: () => undefined }), LIMIT_WAIT);
    pass(260);
    const next = client(1);
    next.go();
    pass(400);
    assert.equal(next.served, 1);
  });

  test('an equal part until control says otherwise; a new limit keeps the part', (t) => {
    const { limit } = setUp(t, 1000, 4);
    assert.equal(limit.share, 250);
    limit.setShare(600);
    limit.setMaximum(2000, 4);
    assert.equal(limit.share, 1200);
  });

  test('a limit that is taken away lets all in', (t) => {
    const { limit, pass, client } = setUp(t, 1000);
    const one = client(5000);
    one.go();
    limit.setMaximum(0, 1);
    pass(1);
    assert.equal(one.served, 5000);
  });
});
