import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkDataDir,
  checkDescriptors,
  checkDisk,
  checkEngine,
  checkHugePages,
  checkMemory,
  checkNodeVersion,
  checkOvercommit,
  checkPort,
  checkSomaxconn,
  type Finding,
} from './doctor-checks.ts';

const TOOLS = { 'apt-get': true, 'dpkg-deb': true, 'debian-archive-keyring': true };

function verdicts(...findings: Finding[]): string[] {
  for (const finding of findings)
    assert.equal(finding.fix === null, finding.verdict === 'ok', finding.found);
  return findings.map((finding) => finding.verdict);
}

test('kernel settings', () => {
  assert.deepEqual(
    verdicts(
      checkOvercommit('1\n'),
      checkOvercommit('0\n'),
      checkOvercommit('2'),
      checkOvercommit(null),
    ),
    ['ok', 'warn', 'warn', 'ok'],
  );
  assert.deepEqual(
    verdicts(checkSomaxconn('4096\n'), checkSomaxconn('128\n'), checkSomaxconn(null)),
    ['ok', 'warn', 'ok'],
  );
  const huge = ['[always] madvise never', 'always [madvise] never', null].map((text) =>
    checkHugePages(text),
  );
  assert.deepEqual(verdicts(...huge), ['warn', 'ok', 'ok']);
  assert.match(huge[0]!.fix!, /echo madvise/);
});

test('limits of the process and the machine', () => {
  const limits = (soft: string, hard: string) =>
    `Limit Soft Hard Units\nMax open files            ${soft}                 ${hard}              files\n`;
  assert.deepEqual(
    verdicts(
      checkDescriptors(limits('1024', '1048576')),
      checkDescriptors(limits('1024', 'unlimited')),
      checkDescriptors(limits('1024', '20000')),
      checkDescriptors(limits('1024', '1024')),
      checkDescriptors(null),
    ),
    ['ok', 'ok', 'warn', 'fail', 'ok'],
  );
  const gib = 1024 ** 3;
  assert.deepEqual(
    verdicts(checkMemory(8 * gib, null), checkMemory(8 * gib, gib / 2), checkMemory(gib / 8, null)),
    ['ok', 'warn', 'fail'],
  );
  assert.deepEqual(
    verdicts(checkDisk(5 * gib, '/d'), checkDisk(gib / 2, '/d'), checkDisk(1000, '/d')),
    ['ok', 'warn', 'fail'],
  );
  assert.deepEqual(verdicts(checkNodeVersion('24.0.0'), checkNodeVersion('20.19.0')), [
    'ok',
    'fail',
  ]);
});

test('data directory and ports', () => {
  const directory = { path: '/d', exists: true, writable: true, mode: 0o700, mine: true };
  assert.deepEqual(
    verdicts(
      checkDataDir(directory),
      checkDataDir({ ...directory, exists: false, mine: false, mode: 0o755 }),
      checkDataDir({ ...directory, mode: 0o750 }),
      checkDataDir({ ...directory, mine: false }),
      checkDataDir({ ...directory, writable: false }),
    ),
    ['ok', 'ok', 'warn', 'fail', 'fail'],
  );
  const port = { port: 6379, what: 'the first cache', state: 'in-use' as const, ours: null };
  assert.deepEqual(
    verdicts(
      checkPort(port, '--port'),
      checkPort({ ...port, state: 'free' }, '--port'),
      checkPort({ ...port, ours: 'cache main' }, '--port'),
    ),
    ['warn', 'ok', 'ok'],
  );
});

test('an engine that is missing fails only where it cannot be installed', () => {
  const without = { ...TOOLS, 'apt-get': false };
  assert.deepEqual(verdicts(...checkEngine('9.1.2', '9.1', TOOLS, 's')), ['ok', 'ok']);
  assert.deepEqual(verdicts(...checkEngine(null, '9.1', TOOLS, 's')), ['warn', 'ok']);
  assert.deepEqual(verdicts(...checkEngine('9.1.2', '9.1', without, 's')), ['ok', 'warn']);
  const [, installer] = checkEngine(null, '9.1', without, 's');
  assert.deepEqual(verdicts(...checkEngine(null, '9.1', without, 's')), ['fail', 'fail']);
  assert.match(installer!.found, /no apt-get/);
  assert.match(installer!.fix!, /--engine-binary/);
});
