import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BenchError } from './bench-error.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Certificate and key in one file, as haproxy wants it. */
  readonly bundleFile: string;
}

/**
 * A self-signed P-256 certificate for 127.0.0.1, the same for every server under test so that handshakes cost the same.
 * @param directory private to the bench; removed with it
 */
export function makeCertificate(directory: string): CertificateFiles {
  const certFile = join(directory, 'cert.pem');
  const keyFile = join(directory, 'key.pem');
  const bundleFile = join(directory, 'bundle.pem');
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    keyFile,
  ];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  const args = ['req', '-x509', ...key, ...names, '-days', '7', '-out', certFile];
  try {
    execFileSync('openssl', args, { stdio: 'pipe' });
  } catch (cause) {
    throw new BenchError(
      'BENCH_TOOL_MISSING',
      'the TLS cells need a certificate and openssl did not make one: install openssl or pass --tls off',
      { cause },
    );
  }
  writeFileSync(bundleFile, readFileSync(certFile, 'utf8') + readFileSync(keyFile, 'utf8'), {
    mode: 0o600,
  });
  return { certFile, keyFile, bundleFile };
}
