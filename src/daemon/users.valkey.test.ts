import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import type { UserStatus } from '../model/admin-api.ts';
import { eventually, TestDaemon } from './fixtures/test-daemon.ts';

suite('users and secrets', () => {
  const daemon = TestDaemon.forSuite();
  before(() => daemon.create({ name: 'bare', shards: 2 }));

  test('users: made, changed on live connections, removed', async () => {
    const made = await daemon.json<UserStatus>('PUT', '/v1/caches/bare/users/app', {
      enabled: true,
      passwords: ['one', 'two'],
      rules: '~app:*   +@all',
    });
    assert.deepEqual(made, {
      name: 'app',
      enabled: true,
      nopass: false,
      passwords: 2,
      rules: '~app:* +@all',
    });
    const { nodes } = await daemon.cache('bare');
    // Whoever was told that it is there can log in.
    assert.ok(daemon.topologyCache('bare').users.some((user) => user.name === 'app'));
    using live = await daemon.connect('bare', nodes[0]!, 'app');
    await assert.rejects(live.call('GET', 'bar'), { replyCode: 'NOPERM' });
    await daemon.json('PUT', '/v1/caches/bare/users/app', { rules: '~* +@read' });
    await assert.rejects(live.call('SET', 'bar', '1'), { replyCode: 'NOPERM' });
    assert.equal(await live.call('GET', 'bar'), null);
    assert.ok(live.isOpen);
    for (const node of nodes) {
      const user = (await daemon.ask('bare', node, 'ACL', 'GETUSER', 'app')) as unknown[];
      assert.equal(user[user.indexOf('keys') + 1], '~*');
      assert.match(
        readFileSync(join(daemon.paths.nodes, node.id, 'users.acl'), 'utf8'),
        /user app .*\+@read/,
      );
    }
    const answer = await daemon.call('DELETE', '/v1/caches/bare/users/app');
    assert.equal(answer.status, 204);
    await eventually('the connection being cut', async () => !live.isOpen);
    assert.equal(daemon.topologyCache('bare').users.length, 1);
    assert.equal(
      (await daemon.refusal('DELETE', '/v1/caches/bare/users/app')).code,
      'UserNotFound',
    );
  });

  test('rules are judged by the engine and leave nothing behind', async () => {
    const { nodes } = await daemon.cache('bare');
    const users = () => daemon.ask('bare', nodes[0]!, 'ACL', 'USERS');
    const before = await users();
    const refused = await daemon.refusal('PUT', '/v1/caches/bare/users/bad', {
      rules: '+nosuchcommand',
    });
    assert.equal(refused.status, 400);
    assert.equal(refused.code, 'InvalidParameterValue');
    assert.match(refused.message, /Unknown command or category name in ACL/);
    for (const rules of ['+@all >secret', 'nopass', '~* on', '#abc']) {
      const answer = await daemon.refusal('PUT', '/v1/caches/bare/users/bad', { rules });
      assert.equal(answer.code, 'InvalidParameterValue', rules);
      assert.doesNotMatch(answer.message, /secret/);
    }
    assert.deepEqual(await users(), before);
    assert.equal((await daemon.json<UserStatus[]>('GET', '/v1/caches/bare/users')).length, 1);
  });

  test('a user changed while a node is down or starts is right when the node is back', async () => {
    for (const moment of ['lost', 'starting'] as const) {
      const { nodes } = await daemon.healthy('bare');
      process.kill(nodes[0]!.pid!, 'SIGKILL');
      if (moment === 'starting') {
        await eventually('the node being started', async () => {
          const now = await daemon.cache('bare');
          return now.nodes[0]!.state === 'starting';
        });
      }
      const late = `late-${moment}`;
      await daemon.json('PUT', `/v1/caches/bare/users/${late}`, { enabled: true, rules: '+@read' });
      await eventually('all nodes having the user', async () => {
        const answers = await Promise.all(
          nodes.map((node) => daemon.ask('bare', node, 'ACL', 'GETUSER', late).catch(() => null)),
        );
        return answers.every((answer) => answer !== null);
      });
    }
    await daemon.healthy('bare');
  });

  test('no secret is in the log, in argv or readable by others', async () => {
    const published = daemon.topologyCache('bare');
    const secrets = [published.systemSecret, ...published.users.map((user) => user.upstreamSecret)];
    const log = daemon.log;
    for (const secret of secrets) assert.ok(!log.includes(secret));
    for (const name of readdirSync(daemon.dataDir)) {
      if (name.startsWith('state.sqlite')) {
        assert.equal(statSync(join(daemon.dataDir, name)).mode & 0o777, 0o600, name);
      }
    }
    assert.equal(statSync(daemon.paths.apiSocket).mode & 0o777, 0o600);
  });
});
