import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { readProcess } from '../engine/process-identity.ts';
import { ProxySupervisor } from './proxy-supervisor.ts';

const FAKE_PROXY = fileURLToPath(new URL('./fixtures/fake-proxy.ts', import.meta.url));
const FREEING_PROXY = fileURLToPath(new URL('./fixtures/freeing-proxy.ts', import.meta.url));

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen`);
    await delay(10);
  }
}

suite('ProxySupervisor', () => {
  let root: string;
  let events: string[];
  const supervisors: ProxySupervisor[] = [];

  const supervisor = (proxies: number, scriptPath = FAKE_PROXY) => {
    const made = new ProxySupervisor(
      {
        dataDir: root,
        proxiesDir: join(root, 'proxies'),
        logsDir: join(root, 'logs'),
        scriptPath,
        proxies,
      },
      {
        onRestart: (index) => events.push(`restart ${index}`),
        onCrashLoop: (index) => events.push(`crash loop ${index}`),
      },
      pino({ level: 'silent' }),
    );
    supervisors.push(made);
    return made;
  };
  const pids = (one: ProxySupervisor) =>
    Array.from({ length: one.count }, (_, index) => one.status(index).pid);
  const pidFile = (index: number) => {
    try {
      return Number(readFileSync(join(root, 'proxies', String(index), 'pid'), 'utf8'));
    } catch {
      return null;
    }
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'springtide-proxies-'));
    mkdirSync(join(root, 'logs'));
    events = [];
  });
  afterEach(async () => {
    await Promise.all(supervisors.splice(0).map((one) => one.stop(0)));
    rmSync(root, { recursive: true });
  });

  test('starts as many as asked for, and the next daemon adopts them', async () => {
    const first = supervisor(2);
    first.start();
    await eventually('the pid files', () => pidFile(0) === pids(first)[0] && pidFile(1) !== null);
    first.detach();
    const second = supervisor(2);
    second.start();
    assert.deepEqual(pids(second), pids(first));
    assert.deepEqual(second.alive(), [0, 1]);
    assert.deepEqual(events, []);
  });

  test('the system gets back what a proxy held in pieces of the size of a read', async () => {
    supervisor(1, FREEING_PROXY).start();
    const left = () => {
      try {
        return Number(readFileSync(join(root, 'left'), 'utf8'));
      } catch {
        return null;
      }
    };
    await eventually('the measurement', () => left() !== null);
    // Of 100 MiB.
    assert.ok(left()! < 30 * 1024 * 1024, `${left()} bytes are left`);
  });

  test('one that dies is started again, an adopted one too', async () => {
    const first = supervisor(1);
    first.start();
    await eventually('the pid file', () => pidFile(0) !== null);
    first.detach();
    const second = supervisor(1);
    second.start();
    const [pid] = pids(second);
    process.kill(pid!, 'SIGKILL');
    await eventually('another process', () => {
      second.check();
      const now = pids(second)[0];
      return now !== null && now !== pid;
    });
    assert.deepEqual(events, ['restart 0']);
    assert.equal(second.status(0).restarts, 1);
  });

  test('a stranger that got the pid of a proxy is left alone', async () => {
    mkdirSync(join(root, 'proxies', '0'), { recursive: true });
    writeFileSync(join(root, 'proxies', '0', 'pid'), String(process.pid));
    const one = supervisor(1);
    one.start();
    assert.notEqual(pids(one)[0], process.pid);
  });

  test('one that cannot live is tried with growing delay, and told of', async () => {
    const broken = join(root, 'broken.ts');
    writeFileSync(broken, 'process.exit(1);');
    const one = supervisor(1, broken);
    one.start();
    await eventually('the crash loop', () => events.includes('crash loop 0'));
    assert.equal(events.filter((event) => event === 'restart 0').length, 5);
  });

  test('with fewer proxies the ones left over are ended, and the others know the new number', async () => {
    const first = supervisor(2);
    first.start();
    await eventually('the pid files', () => pidFile(0) !== null && pidFile(1) !== null);
    first.detach();
    const [kept, surplus] = pids(first);
    const second = supervisor(1);
    second.start();
    await eventually('their end', () => {
      second.check();
      return readProcess(surplus!) === undefined && readProcess(kept!) === undefined;
    });
    await eventually('the new one', () => pids(second)[0] !== null && pids(second)[0] !== kept);
  });

  test('stop leaves no process', async () => {
    const one = supervisor(2);
    one.start();
    const running = pids(one);
    await one.stop(5_000);
    for (const pid of running) assert.equal(readProcess(pid!), undefined);
    assert.deepEqual(events, []);
  });
});
