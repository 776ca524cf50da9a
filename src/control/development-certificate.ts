/**
 * Development certificates, made on first use: an authority of this data directory's own (`ca.crt`, for clients to trust)
 * and one server certificate signed by it (`server.crt`, `server.key`), for loopback and the names that caches announce.
 * When a name is added the server certificate is made anew; proxies notice the changed file. The authority stays.
 */
import { webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { isIP } from 'node:net';
import { join } from 'node:path';
// Needed by the x509 library's own dependency injection, before it is loaded.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { developmentCertificatePaths, type DevelopmentCertificate } from './topology-of.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3_650;
/** Clients (Apple's among them) refuse server certificates that are valid for longer than 825 days. */
const SERVER_DAYS = 800;
const RENEW_BEFORE_DAYS = 30;

/** Makes what is missing or about to run out. */
export async function ensureDevelopmentCertificate(
  tlsDir: string,
  names: readonly string[],
): Promise<DevelopmentCertificate> {
  mkdirSync(tlsDir, { recursive: true, mode: 0o700 });
  const paths = developmentCertificatePaths(tlsDir);
  const authority = await authorityIn(tlsDir);
  const present = existsSync(paths.certFile)
    ? new x509.X509Certificate(readFileSync(paths.certFile, 'utf8'))
    : null;
  const had = present === null ? [] : namesOf(present);
  const wanted = new Set(
    ['localhost', '127.0.0.1', '::1', hostname(), ...had, ...names].map(canonical),
  );
  wanted.delete('0.0.0.0');
  wanted.delete('::');
  const enough =
    present !== null &&
    existsSync(paths.keyFile) &&
    [...wanted].every((name) => had.includes(name)) &&
    present.notAfter.getTime() > Date.now() + RENEW_BEFORE_DAYS * DAY_MS;
  if (enough) return paths;

  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: 'CN=Springtide development server',
      issuer: authority.certificate.subject,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + SERVER_DAYS * DAY_MS),
      publicKey: keys.publicKey,
      signingKey: authority.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(
          [...wanted].map((value) => ({ type: isIP(value) > 0 ? 'ip' : 'dns', value })),
        ),
      ],
    },
    webcrypto as Crypto,
  );
  // The key first: a proxy that reloads in between finds a pair that does not fit and keeps the old one.
  await writeKey(paths.keyFile, keys.privateKey);
  writePem(paths.certFile, certificate.toString('pem'), 0o644);
  return paths;
}

async function authorityIn(tlsDir: string): Promise<{
  certificate: x509.X509Certificate;
  privateKey: CryptoKey;
}> {
  const certFile = join(tlsDir, 'ca.crt');
  const keyFile = join(tlsDir, 'ca.key');
  if (existsSync(certFile) && existsSync(keyFile)) {
    return {
      certificate: new x509.X509Certificate(readFileSync(certFile, 'utf8')),
      privateKey: await readKey(keyFile),
    };
  }
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: `CN=Springtide development CA (${hostname()})`,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + AUTHORITY_DAYS * DAY_MS),
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
      ],
    },
    webcrypto as Crypto,
  );
  await writeKey(keyFile, keys.privateKey);
  writePem(certFile, certificate.toString('pem'), 0o644);
  return { certificate, privateKey: keys.privateKey };
}

function namesOf(certificate: x509.X509Certificate): string[] {
  const extension = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  return extension?.names.items.map((name) => canonical(name.value)) ?? [];
}

/** One spelling for an IPv6 address: certificates are read back with all of its groups written out. */
function canonical(name: string): string {
  return isIP(name) === 6 ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name;
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(ALGORITHM, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
}

async function writeKey(path: string, key: CryptoKey): Promise<void> {
  const bytes = await webcrypto.subtle.exportKey('pkcs8', key);
  writePem(path, x509.PemConverter.encode(bytes, 'PRIVATE KEY'), 0o600);
}

async function readKey(path: string): Promise<CryptoKey> {
  const [bytes] = x509.PemConverter.decode(readFileSync(path, 'utf8'));
  return webcrypto.subtle.importKey('pkcs8', bytes!, ALGORITHM, false, ['sign']);
}

function writePem(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, `${text.trimEnd()}\n`, { mode });
  renameSync(`${path}.new`, path);
}

function serialNumber(): string {
  // 127 random bits: positive, as X.509 wants it.
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0]! &= 0x7f;
  return Buffer.from(bytes).toString('hex');
}
