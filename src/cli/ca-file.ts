/** Whom clients have to trust to speak TLS with a cache. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheSpec } from '../model/cache-spec.ts';
import { dataDirPaths } from '../model/data-dir.ts';

/**
 * The PEM file with the authority: the development one, or the cache's own certificate where nobody else signed it. Null
 * without TLS, and where somebody else signed: then the machine knows who, or the user does.
 */
export function caFileOf(dataDir: string, spec: CacheSpec): string | null {
  if (spec.tls === 'off') return null;
  if (spec.tlsCertFile === undefined) return join(dataDirPaths(dataDir).tls, 'ca.crt');
  return isSelfSigned(spec.tlsCertFile) ? spec.tlsCertFile : null;
}

function isSelfSigned(certFile: string): boolean {
  try {
    const certificate = new X509Certificate(readFileSync(certFile));
    return certificate.verify(certificate.publicKey);
  } catch {
    // Moved or replaced since: the proxies still have it, and nobody can say here who signed it.
    return false;
  }
}
