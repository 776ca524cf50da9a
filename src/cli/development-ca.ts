/** The certificate authority of the development certificates, for clients to trust. */
import { join } from 'node:path';
import type { CacheSpec } from '../model/cache-spec.ts';
import { dataDirPaths } from '../model/data-dir.ts';

/** Its PEM file, or null when the cache has no TLS or a certificate of the user's own. */
export function developmentCaFile(dataDir: string, spec: CacheSpec): string | null {
  if (spec.tls === 'off' || spec.tlsCertFile !== undefined) return null;
  return join(dataDirPaths(dataDir).tls, 'ca.crt');
}
