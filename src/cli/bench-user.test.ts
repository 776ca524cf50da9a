/** The bench's user against the API in memory: no engine, no load. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ApiClient } from './api-client.ts';
import { withBenchUser, type BenchUser } from './bench-user.ts';
import { FakeApiServer } from './fake-api-server.ts';

/** No process has it: above the system's largest. */
const NOBODY = 2 ** 22 + 1;

async function start(t: TestContext) {
  const fake = await FakeApiServer.start();
  t.after(() => fake[Symbol.asyncDispose]());
  fake.addCache({ name: 'main' });
  const client = new ApiClient(fake.dataDir, 'up');
  const notes: string[] = [];
  const bench = (work: (user: BenchUser) => Promise<void>) =>
    withBenchUser(client, 'main', (text) => notes.push(text), work);
  const addUser = (name: string) =>
    fake.users.set(name, { name, enabled: true, nopass: false, passwords: 1, rules: '' });
  return { fake, notes, bench, addUser };
}

test('the user is there while the bench works, may do no more than that, and goes with it', async (t) => {
  const { fake, notes, bench } = await start(t);
  await bench(async ({ username }) => {
    const { rules } = fake.users.get(username)!;
    assert.match(rules, /^~springtide-bench:\* /);
    assert.doesNotMatch(rules, /@/);
  });
  assert.deepEqual([...fake.users.keys()], []);
  assert.deepEqual(notes, []);
});

test('a bench removes the users of benches that have ended, and nobody else’s', async (t) => {
  const { fake, bench, addUser } = await start(t);
  const others = [`springtide-bench-${process.ppid}-01234567`, 'springtide-bench-mine', 'app'];
  const left = [
    `springtide-bench-${NOBODY}-01234567`,
    `springtide-bench-${process.pid}-01234567`,
    'springtide-bench-01234567',
  ];
  for (const name of [...others, ...left]) addUser(name);
  await bench(async ({ username }) =>
    assert.deepEqual([...fake.users.keys()], [...others, username]),
  );
  assert.deepEqual([...fake.users.keys()], others);
});

test('a user that cannot be removed is told, and the measurement’s own error is thrown', async (t) => {
  const { fake, notes, bench } = await start(t);
  const failed = new Error('the measurement failed');
  await assert.rejects(
    bench(async () => {
      await fake[Symbol.asyncDispose]();
      throw failed;
    }),
    failed,
  );
  assert.equal(notes.length, 1);
  assert.match(notes[0]!, /^the user springtide-bench-\S+ of cache main may still be there: /);
});

test('a user that could not be made is no user to be told of', async (t) => {
  const { fake, notes, bench } = await start(t);
  fake.refuseUsers = { code: 'InvalidParameterValue', message: 'no more users' };
  await assert.rejects(
    bench(() => Promise.reject(new Error('never'))),
    /No more users/,
  );
  assert.deepEqual(notes, []);
});
