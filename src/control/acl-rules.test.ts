import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_USER_RULES, type CacheUser } from '../model/user.ts';
import { aclLines, checkRules, checkUserName, nodeUserRules, passwordHash } from './acl-rules.ts';
import { changed } from './user-admin.ts';

const user = (over: Partial<CacheUser> = {}): CacheUser => ({
  name: 'app',
  enabled: true,
  nopass: false,
  passwordHashes: [],
  rules: '~app:* (~log:* +append) +@all',
  upstreamSecret: 'upstream',
  ...over,
});

test('on a node a user is on, and has the internal secret as its only password', () => {
  for (const one of [user(), user({ enabled: false, nopass: true, passwordHashes: ['ab'] })]) {
    assert.deepEqual(nodeUserRules(one), [
      'reset',
      'on',
      `#${passwordHash('upstream')}`,
      '~app:*',
      '(~log:*',
      '+append)',
      '+@all',
    ]);
  }
});

test('the file has the system user, and a default user that is off where the cache has none', () => {
  const without = aclLines([user()], 'system');
  assert.equal(without.length, 3);
  assert.ok(without.includes('user default reset off'));
  const lines = aclLines([user({ name: 'default', rules: DEFAULT_USER_RULES })], 'system');
  assert.equal(lines.length, 2);
  assert.ok(!lines.join('\n').includes('nopass'));
  assert.ok(!lines.join('\n').includes('>'));
});

test('words that would change passwords or on/off are no rules', () => {
  for (const rules of [
    '>p',
    '+@all <p',
    '#ab',
    '!ab',
    'ON',
    'off',
    'nopass',
    'resetpass',
    'reset',
  ]) {
    assert.throws(() => checkRules(rules), { code: 'InvalidParameterValue' }, rules);
  }
  for (const rules of ['', DEFAULT_USER_RULES, '~a resetkeys +get|x', 'allkeys nocommands']) {
    checkRules(rules);
  }
  assert.throws(
    () => checkRules('>hunter2'),
    (error: Error) => !error.message.includes('hunter2'),
  );
});

test('names that an ACL file could not hold, and the reserved one, are refused', () => {
  for (const name of ['', 'a b', 'a\n', 'x"y', 'springtide-system', 'n'.repeat(129)]) {
    assert.throws(() => checkUserName(name), { code: 'InvalidParameterValue' }, name);
  }
  checkUserName('default');
  checkUserName('grüße@example');
});

test('a change touches what it names', () => {
  const before = user({ passwordHashes: ['old'] });
  assert.deepEqual(changed(before, {}), before);
  assert.deepEqual(changed(before, { enabled: false }), { ...before, enabled: false });
  assert.deepEqual(changed(before, { rules: ' +get   ~x ' }).rules, '+get ~x');
  const rotated = changed(before, { passwords: ['a', 'b'] });
  assert.deepEqual(rotated.passwordHashes, [passwordHash('a'), passwordHash('b')]);
  assert.deepEqual(changed(before, { nopass: true }).passwordHashes, []);
  assert.equal(changed(user({ nopass: true }), { passwords: ['a'] }).nopass, false);
  assert.throws(() => changed(before, { passwords: ['a', 'b', 'c'] }), {
    code: 'InvalidParameterValue',
  });
  assert.throws(() => changed(before, { passwords: ['a'], nopass: true }), {
    code: 'InvalidParameterCombination',
  });
});
