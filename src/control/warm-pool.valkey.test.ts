import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { findEngine, installEngine } from '../engine/catalogue.ts';
import { LOCAL_HOST_ID } from '../engine/host.ts';
import { LocalHost } from '../engine/local-host.ts';
import { defaultEngineDir } from '../model/data-dir.ts';
import { Hosts } from './hosts.ts';
import { Journal } from './journal.ts';
import { Ports } from './ports.ts';
import { Store } from './store.ts';
import { WarmPool } from './warm-pool.ts';

const CLASS = { engineLine: '9.1', databases: 16 } as const;
const HERE = [LOCAL_HOST_ID];
const log = pino({ level: 'silent' });

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, what);
    await delay(10);
  }
}

/** A pool with all that it needs; `again` makes the one of the next daemon. */
async function poolFor(t: TestContext, engine = findEngine) {
  await installEngine('9.1');
  const dataDir = mkdtempSync(join(tmpdir(), 'springtide-pool-'));
  const engines = { engineDir: defaultEngineDir() };
  const ports = new Ports();
  const store = new Store(join(dataDir, 'state.sqlite'));
  const journal = new Journal(store.events, log);
  const makeHost = () => new LocalHost({ dataDir, findEngine: (v) => engine(v, engines) });
  const watcher = { onHostLost: () => undefined, onHostFound: () => undefined };
  const make = (host = makeHost()) => {
    const hosts = new Hosts([host], watcher, log);
    return { host, pool: new WarmPool({ store, hosts, ports, log, journal }) };
  };
  const first = make();
  const last = { ...first };
  t.after(async () => {
    await last.pool.empty();
    ports.close();
    store.close();
    rmSync(dataDir, { recursive: true });
  });
  const again = async () => {
    await last.pool.leave();
    Object.assign(last, make());
    await last.pool.adopt();
    return last;
  };
  await first.pool.adopt();
  return { ...first, store, again };
}

const ready = (pool: WarmPool) => pool.status().reduce((sum, one) => sum + one.ready, 0);

suite('the warm pool', () => {
  test('has as many as it is told, of each class; one that dies is replaced at the next resize', async (t) => {
    const { pool, host, store } = await poolFor(t);
    pool.resize([{ ...CLASS, count: 3 }]);
    await until('three ready', () => ready(pool) === 3);
    const [victim] = await host.list();
    process.kill(victim!.pid, 'SIGKILL');
    await until('two ready', () => ready(pool) === 2);
    await until('its record gone', () => store.warm.all().length === 2);
    pool.resize([{ ...CLASS, count: 3 }]);
    await until('three again', () => ready(pool) === 3);
    pool.resize([{ ...CLASS, count: 1 }]);
    await until('the others gone', () => store.warm.all().length === 1);
    assert.equal((await host.list()).length, 1);
    pool.resize([]);
    await until('none left', () => store.warm.all().length === 0);
  });

  test('gives each away once, and none of another class', async (t) => {
    const { pool } = await poolFor(t);
    pool.resize([{ ...CLASS, count: 1 }]);
    await until('one ready', () => ready(pool) === 1);
    assert.equal(pool.take({ engineLine: '8.1', databases: 16 }, HERE), null);
    assert.equal(pool.take({ engineLine: '9.1', databases: 4 }, HERE), null);
    assert.equal(pool.take(CLASS, ['elsewhere']), null);
    const taken = pool.take(CLASS, HERE);
    assert.ok(taken !== null);
    assert.equal(pool.take(CLASS, HERE), null);
    assert.equal(await taken.admin.call('PING'), 'PONG');
    await pool.giveUp(taken);
    assert.deepEqual(pool.status(), []);
  });

  test('the next daemon finds them; one that no longer knows the pool is given up', async (t) => {
    const { pool, store, again } = await poolFor(t);
    pool.resize([{ ...CLASS, count: 2 }]);
    await until('two ready', () => ready(pool) === 2);
    // Half taken: it has a cache's users already, and the daemon was killed before it was written down.
    const taken = pool.take(CLASS, HERE)!;
    await taken.admin.call('ACL', 'SETUSER', 'springtide-system', 'resetpass', '>other');
    taken.admin.close();
    const next = await again();
    assert.equal(ready(next.pool), 1);
    assert.deepEqual(
      store.warm.all().map(({ id }) => id === taken.record.id),
      [false],
    );
    assert.equal((await next.host.list()).length, 1);
  });

  test('an event says when none can be started, once, and when they start again', async (t) => {
    let broken = true;
    const { pool, store } = await poolFor(t, (...wanted) => {
      if (broken) throw new Error('no room for an engine');
      return findEngine(...wanted);
    });
    const kinds = () =>
      store.events
        .latest(null, 10)
        .map(({ kind }) => kind)
        .toReversed();
    const refill = () => pool.resize([{ ...CLASS, count: 2 }]);
    refill();
    await until('the event', () => kinds().length > 0);
    assert.match(store.events.latest(null, 1)[0]!.message, /no room for an engine/);
    broken = false;
    await until('two ready', () => {
      refill();
      return ready(pool) === 2;
    });
    assert.deepEqual(kinds(), ['pool-failing', 'pool-recovered']);
  });
});
