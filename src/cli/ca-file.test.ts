import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { caFileOf } from './ca-file.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { runCli } from './run-cli.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

async function certificates(directory: string) {
  x509.cryptoProvider.set(webcrypto as Crypto);
  const keys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const [authority, server] = [await keys(), await keys()];
  const validity = { notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 1e7) };
  const own = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    serialNumber: '01',
    name: 'CN=own',
    keys: authority,
    signingAlgorithm: ALGORITHM,
  });
  const signed = await x509.X509CertificateGenerator.create({
    ...validity,
    serialNumber: '02',
    subject: 'CN=signed',
    issuer: own.subject,
    publicKey: server.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: ALGORITHM,
  });
  const files = { own: join(directory, 'own.crt'), signed: join(directory, 'signed.crt') };
  writeFileSync(files.own, own.toString('pem'));
  writeFileSync(files.signed, signed.toString('pem'));
  return files;
}

test('whom to trust: the development authority, a certificate that nobody else signed, or whom the user names', async (t) => {
  await using fake = await FakeApiServer.start();
  const directory = mkdtempSync(join(tmpdir(), 'springtide-ca-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const { own, signed } = await certificates(directory);
  const tls = (tlsCertFile?: string) =>
    cacheSpecSchema.parse({ name: 'a', tls: 'required', tlsCertFile, tlsKeyFile: tlsCertFile });

  assert.equal(caFileOf('/data', cacheSpecSchema.parse({ name: 'a' })), null);
  assert.equal(caFileOf('/data', tls()), '/data/tls/ca.crt');
  assert.equal(caFileOf('/data', tls(own)), own);
  assert.equal(caFileOf('/data', tls(signed)), null);
  assert.equal(caFileOf('/data', tls(join(directory, 'absent.crt'))), null);

  fake.addCache({ ...tls(own), name: 'own' });
  fake.addCache({ ...tls(signed), name: 'signed' });
  fake.valkeyCli = ['/bin/echo'];
  const connect = (...args: string[]) => runCli(['connect', ...args, '--data-dir', fake.dataDir]);
  assert.match((await connect('own')).out, new RegExp(`--tls --cacert ${own}$`, 'm'));
  assert.match((await connect('signed')).out, /--tls$/m);
  assert.match((await connect('signed', '--cacert', 'my.pem')).out, /--tls --cacert my\.pem$/m);
  fake.valkeyCli = ['/bin/false'];
  const failed = await connect('signed');
  assert.equal(failed.exitCode, 1);
  assert.match(failed.err, /^If it does not trust .*signed\.crt: --cacert FILE \(PEM\)\.$/m);
  assert.equal((await connect('own')).err, '');
});
