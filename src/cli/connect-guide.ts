/** What is printed when a cache is ready: where it is and how to connect. */
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';
import { describeShape, splitEndpoint } from './cache-words.ts';
import { shellWord } from './shell-word.ts';
import { formatFields } from './table.ts';
import type { Terminal } from './terminal.ts';

export interface GuideContext {
  /** ` --data-dir X` where the user named one. */
  readonly dataDirSuffix: string;
  /** CA certificate that clients can trust, when TLS is on with the development certificate. */
  readonly caFile: string | null;
}

/** The `valkey-cli` command line for a cache. */
export function valkeyCliCommand(cache: CacheStatus, caFile: string | null): string[] {
  const { host, port } = splitEndpoint(cache.endpoint);
  return ['valkey-cli', '-h', host, '-p', String(port), ...valkeyCliTls(cache, caFile)];
}

/** TLS options of valkey-cli; TLS is used wherever the cache offers it. */
export function valkeyCliTls(cache: CacheStatus, caFile: string | null): string[] {
  if (cache.spec.tls === 'off') return [];
  return ['--tls', ...(caFile === null ? [] : ['--cacert', caFile])];
}

/** The lines of the guide for one cache. */
export function connectGuide(
  cache: CacheStatus,
  status: SystemStatus,
  terminal: Terminal,
  context: GuideContext,
): string[] {
  const label = (text: string) => terminal.paint('dim', text);
  const { host, port } = splitEndpoint(cache.endpoint);
  const tls = cache.spec.tls !== 'off';
  const address = `host: '${host}', port: ${port}`;
  const ca = context.caFile === null ? '{}' : `{ ca: readFileSync('${context.caFile}') }`;
  return [
    ...formatFields(
      [
        [
          'Cache',
          `${terminal.paint('bold', cache.spec.name)} (${describeShape(cache.spec)}${tls ? `, TLS ${cache.spec.tls}` : ''})`,
        ],
        ['Engine', `Valkey ${cache.engineFullVersion ?? cache.spec.engineVersion}`],
        ['Endpoint', terminal.paint('cyan', cache.endpoint)],
        ['Reader endpoint', terminal.paint('cyan', cache.readerEndpoint)],
        [
          'Metrics',
          status.metricsUrl ?? 'none (the port is in use; choose one with --metrics-port)',
        ],
      ],
      label,
    ),
    '',
    ...formatFields(
      [
        [
          'valkey-cli',
          [
            valkeyCliCommand(cache, context.caFile).map(shellWord).join(' '),
            `${terminal.program} connect ${cache.spec.name}${context.dataDirSuffix}${terminal.paint('dim', '   (brings its own valkey-cli)')}`,
          ],
        ],
        [
          'ioredis',
          [
            tls ? `new Redis({ ${address}, tls: ${ca} })` : `new Redis({ ${address} })`,
            ...(cache.spec.sharding
              ? [
                  tls
                    ? `new Cluster([{ ${address} }], { redisOptions: { tls: ${ca} } })`
                    : `new Cluster([{ ${address} }])`,
                ]
              : []),
          ],
        ],
      ],
      label,
    ),
  ];
}
