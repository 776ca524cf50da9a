import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findEngine, installEngine, listEngines, removeEngine } from './catalogue.ts';

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'springtide-catalogue-'));
});
after(() => rm(root, { recursive: true }));

/** A directory with programs that are shell scripts. */
async function programs(name: string, scripts: Record<string, string>): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir, { recursive: true });
  for (const [file, body] of Object.entries(scripts)) {
    await writeFile(join(dir, file), `#!/bin/sh\n${body}\n`);
    await chmod(join(dir, file), 0o755);
  }
  return dir;
}

const says = (version: string) =>
  `echo "Valkey server v=${version} sha=00000000:0 malloc=libc bits=64 build=0"`;
const nothing = () => ({
  engineDir: join(root, 'no-engines'),
  env: { PATH: join(root, 'no-path') },
});

test('nothing installed: every line is listed, and finding one says what to do', async () => {
  const listings = await listEngines(nothing());
  assert.deepEqual(
    listings.map(({ line, isDefault, installations }) => [line, isDefault, installations.length]),
    [
      ['9.1', true, 0],
      ['8.1', false, 0],
      ['8.0', false, 0],
    ],
  );
  await assert.rejects(findEngine(undefined, nothing()), {
    code: 'ENGINE_NOT_INSTALLED',
    message: /springtide engine install 9\.1.*--engine-binary.*SPRINGTIDE_VALKEY_SERVER=/,
  });
  await assert.rejects(findEngine('7.2', nothing()), { code: 'ENGINE_VERSION_UNSUPPORTED' });
  assert.equal(await removeEngine('9.1', nothing()), false);
});

test('a valkey-server on PATH is used for its own line, with the tools beside it', async () => {
  const bin = await programs('path', { 'valkey-server': says('8.1.3'), 'valkey-cli': 'true' });
  const options = { ...nothing(), env: { PATH: `${join(root, 'none')}:${bin}` } };
  const engine = await findEngine('8.1', options);
  assert.deepEqual(engine, {
    engine: 'valkey',
    line: '8.1',
    version: '8.1.3',
    source: 'path',
    binary: join(bin, 'valkey-server'),
    command: [join(bin, 'valkey-server')],
    tools: { cli: [join(bin, 'valkey-cli')] },
  });
  await assert.rejects(findEngine(undefined, options), { code: 'ENGINE_NOT_INSTALLED' });
  const listed = (await listEngines(options)).find((listing) => listing.line === '8.1');
  assert.deepEqual(listed?.installations, [engine]);
});

test('an unsupported or broken one on PATH is passed over', async () => {
  const bodies = {
    redis: 'echo "Redis server v=7.0.15 sha=0"',
    old: says('7.2.5'),
    broken: 'exit 127',
  };
  for (const [name, body] of Object.entries(bodies)) {
    const bin = await programs(`bad-${name}`, { 'valkey-server': body });
    const options = { ...nothing(), env: { PATH: bin } };
    await assert.rejects(findEngine('9.1', options), { code: 'ENGINE_NOT_INSTALLED' }, name);
  }
});

test('a binary that the user names goes first, by option before environment, and sets the default', async () => {
  const path = await programs('path-91', { 'valkey-server': says('9.1.0') });
  const byEnv = join(await programs('by-env', { 'valkey-server': says('8.0.9') }), 'valkey-server');
  const byOption = join(await programs('by-option', { server: says('8.1.9') }), 'server');
  const options = { ...nothing(), env: { PATH: path, SPRINGTIDE_VALKEY_SERVER: byEnv } };
  assert.equal((await findEngine(undefined, options)).version, '8.0.9');
  assert.equal((await findEngine(undefined, { ...options, binary: byOption })).version, '8.1.9');
  assert.equal((await findEngine('9.1', options)).source, 'path');
  await assert.rejects(findEngine('8.1', options), {
    code: 'ENGINE_NOT_INSTALLED',
    message: /is Valkey 8\.0\.9/,
  });
});

test('a binary that the user names and that is no usable Valkey is an error, never passed over', async () => {
  const path = await programs('path-good', { 'valkey-server': says('9.1.0') });
  const redis = join(
    await programs('redis', { server: 'echo "Redis server v=7.0.15 sha=0"' }),
    'server',
  );
  const future = join(await programs('future', { server: says('10.0.0') }), 'server');
  const options = { ...nothing(), env: { PATH: path } };
  for (const binary of [redis, join(root, 'absent'), root]) {
    await assert.rejects(
      findEngine('9.1', { ...options, binary }),
      (error: { code: string; message: string }) =>
        error.code === 'ENGINE_BINARY_UNUSABLE' && error.message.startsWith(binary),
      binary,
    );
  }
  await assert.rejects(findEngine('9.1', { ...options, binary: future }), {
    code: 'ENGINE_VERSION_UNSUPPORTED',
  });
});

test('a manifest that cannot be read is no engine', async () => {
  const engineDir = join(root, 'half');
  await mkdir(join(engineDir, 'valkey-9.1'), { recursive: true });
  await writeFile(join(engineDir, 'valkey-9.1/engine.json'), '{"engine":"valkey"');
  await assert.rejects(findEngine('9.1', { ...nothing(), engineDir }), {
    code: 'ENGINE_NOT_INSTALLED',
  });
  assert.equal(await removeEngine('9.1', { engineDir }), true);
  assert.deepEqual(
    (await readdir(engineDir)).filter((name) => !name.endsWith('.lock')),
    [],
  );
});

const APT_OK = 'exit 0';
const failures: [name: string, scripts: Record<string, string>, code: string, message: RegExp][] = [
  ['no apt', {}, 'ENGINE_APT_MISSING', /no apt-get.*--engine-binary .*SPRINGTIDE_VALKEY_SERVER=/],
  ['no dpkg', { 'apt-get': APT_OK }, 'ENGINE_DPKG_MISSING', /no dpkg-deb/],
  [
    'disk full while fetching',
    failing('E: Write error - write (28: No space left on device)'),
    'ENGINE_DISK_FULL',
    /disk is full.*SPRINGTIDE_ENGINE_DIR/,
  ],
  [
    'no network',
    failing(
      "W: Failed to fetch http://mirror.example/debian/dists/forky/InRelease  Temporary failure resolving 'mirror.example'",
      'E: Some index files failed to download. They have been ignored, or old ones used instead.',
    ),
    'ENGINE_MIRROR_UNREACHABLE',
    /check the network/,
  ],
  [
    'unknown key',
    failing(
      'W: GPG error: http://mirror.example/debian forky InRelease: The following signatures could not be verified: NO_PUBKEY 6ED0E7B82643E131',
      "E: The repository 'http://mirror.example/debian forky InRelease' is not signed.",
    ),
    'ENGINE_SIGNATURE_INVALID',
    /debian-archive-keyring/,
  ],
  [
    'partial mirror',
    failing('E: Unable to locate package valkey-server'),
    'ENGINE_PACKAGE_MISSING',
    /Valkey 9\.1 in forky/,
  ],
  ['anything else', failing('E: The moon is wrong'), 'ENGINE_INSTALL_FAILED', /The moon is wrong/],
];

function failing(...lines: string[]): Record<string, string> {
  const body = [
    '[ "$1" = --version ] && exit 0',
    "cat >&2 <<'END'",
    ...lines,
    'END',
    'exit 100',
  ].join('\n');
  return { 'apt-get': body, 'dpkg-deb': 'exit 0' };
}

for (const [name, scripts, code, message] of failures) {
  test(`installation fails with a code and advice: ${name}`, async () => {
    const bin = await programs(`tools-${name.replaceAll(' ', '-')}`, scripts);
    // The scripts need a shell and cat; a directory of links keeps the machine's own apt out.
    await programs('basics', { cat: 'while IFS= read -r line; do printf "%s\\n" "$line"; done' });
    const engineDir = join(root, `engines-${code}`);
    await assert.rejects(
      installEngine('9.1', { engineDir, env: { PATH: `${bin}:${join(root, 'basics')}` } }),
      {
        code,
        message,
      },
    );
    assert.ok(!(await readdir(engineDir)).includes('valkey-9.1'));
  });
}

test('a directory that cannot be made, and an installation given up', async () => {
  await writeFile(join(root, 'file'), '');
  await assert.rejects(installEngine('9.1', { engineDir: join(root, 'file/engines') }), {
    code: 'ENGINE_DIRECTORY_UNWRITABLE',
    message: /SPRINGTIDE_ENGINE_DIR/,
  });
  const bin = await programs('slow', {
    'apt-get': '[ "$1" = --version ] && exit 0\nexec /bin/sleep 60',
    'dpkg-deb': 'exit 0',
  });
  const given = new AbortController();
  const installing = installEngine('9.1', {
    engineDir: join(root, 'given-up'),
    env: { PATH: bin },
    signal: given.signal,
    onProgress: () => given.abort(),
  });
  await assert.rejects(installing, { code: 'ENGINE_INSTALL_ABORTED' });
});
