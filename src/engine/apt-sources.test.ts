import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  parseDeb822Sources,
  parseListSources,
  pickDebianMirror,
  readAptSources,
} from './apt-sources.ts';

test('one-line sources: options, comments, source packages and nonsense', () => {
  const text = [
    '# deb http://commented.example/debian bookworm main',
    'deb http://mirror.example/debian/ bookworm main contrib # trailing',
    '  deb [arch=amd64 signed-by=/k/a.gpg] https://other.example/debian trixie main',
    'deb-src http://mirror.example/debian bookworm main',
    'deb',
    'nonsense',
  ].join('\n');
  assert.deepEqual(parseListSources(text), [
    { uri: 'http://mirror.example/debian', suites: ['bookworm'] },
    { uri: 'https://other.example/debian', suites: ['trixie'], signedBy: '/k/a.gpg' },
  ]);
});

test('deb822 sources: several stanzas, continued fields, switched off, embedded keys', () => {
  const text = `# a comment first
Types: deb deb-src
URIs: http://one.example/debian/
# a comment inside
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm

types: deb
uris: http://two.example/debian http://three.example/debian
suites: trixie
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb-src
URIs: http://four.example/debian
Suites: sid
`;
  assert.deepEqual(parseDeb822Sources(text), [
    {
      uri: 'http://one.example/debian',
      suites: ['bookworm', 'bookworm-updates'],
      signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg',
    },
    { uri: 'http://two.example/debian', suites: ['trixie'] },
    { uri: 'http://three.example/debian', suites: ['trixie'] },
  ]);
});

test('the mirror is the first Debian archive, not a third party with a Debian suite name', () => {
  const sources = [
    { uri: 'https://vendor.example/linux/apt', suites: ['bookworm'] },
    { uri: 'https://vendor.example/tool', suites: ['tool-bookworm'] },
    { uri: 'http://mirror.example/debian-security', suites: ['bookworm-security'] },
    { uri: 'http://mirror.example/pub/debian', suites: ['bookworm'] },
  ];
  assert.deepEqual(pickDebianMirror(sources), {
    uri: 'http://mirror.example/pub/debian',
    securityUri: 'http://mirror.example/debian-security',
  });
  assert.equal(
    pickDebianMirror([{ uri: 'http://archive.example/ubuntu', suites: ['noble'] }]),
    null,
  );
});

test('the files of an apt directory are read together', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'springtide-apt-'));
  try {
    await mkdir(join(dir, 'sources.list.d'));
    await writeFile(join(dir, 'sources.list'), 'deb http://a.example/debian sid main\n');
    await writeFile(join(dir, 'sources.list.d/b.list'), 'deb http://b.example/debian sid main\n');
    await writeFile(
      join(dir, 'sources.list.d/c.sources'),
      'Types: deb\nURIs: http://c.example/debian\nSuites: sid\n',
    );
    await writeFile(
      join(dir, 'sources.list.d/d.list.save'),
      'deb http://d.example/debian sid main\n',
    );
    const uris = (await readAptSources(dir)).map((source) => source.uri);
    assert.deepEqual(uris, [
      'http://a.example/debian',
      'http://b.example/debian',
      'http://c.example/debian',
    ]);
    assert.deepEqual(await readAptSources(join(dir, 'absent')), []);
  } finally {
    await rm(dir, { recursive: true });
  }
});
