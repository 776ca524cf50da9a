/** What is printed when a cache is ready: where it is and how to connect. */
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';
import { describeShape, splitEndpoint } from './cache-words.ts';
import { shellWord } from './shell-word.ts';
import type { Field } from './table.ts';
import type { Terminal } from './terminal.ts';

export interface GuideContext {
  /** ` --data-dir X` where the user named one. */
  readonly dataDirSuffix: string;
  /** CA certificate that clients can trust, when TLS is on with the development certificate. */
  readonly caFile: string | null;
}

/** The `valkey-cli` command line for a cache. */
function valkeyCliCommand(cache: CacheStatus, caFile: string | null): string[] {
  const { host, port } = splitEndpoint(cache.endpoint);
  return ['valkey-cli', '-h', host, '-p', String(port), ...valkeyCliTls(cache, caFile)];
}

/** TLS options of valkey-cli; TLS is used wherever the cache offers it. */
export function valkeyCliTls(cache: CacheStatus, caFile: string | null): string[] {
  if (cache.spec.tls === 'off') return [];
  return ['--tls', ...(caFile === null ? [] : ['--cacert', caFile])];
}

/** The guide for one cache, for `formatFields`. */
export function connectGuide(
  cache: CacheStatus,
  status: SystemStatus,
  terminal: Terminal,
  context: GuideContext,
): Field[] {
  const { spec } = cache;
  const tls = spec.tls === 'off' ? '' : `, TLS ${spec.tls}`;
  return [
    ['Cache', `${terminal.paint('bold', spec.name)} (${describeShape(cache)}${tls})`],
    ['Engine', `Valkey ${cache.engineFullVersion ?? spec.engineVersion}`],
    ['Endpoint', terminal.paint('cyan', cache.endpoint)],
    ['Reader endpoint', terminal.paint('cyan', cache.readerEndpoint)],
    ['Metrics', status.metricsUrl ?? 'none: no port could be listened on'],
    null,
    [
      'valkey-cli',
      [
        valkeyCliCommand(cache, context.caFile).map(shellWord).join(' '),
        `${terminal.program} connect ${spec.name}${context.dataDirSuffix}${terminal.paint('dim', '   (brings its own valkey-cli)')}`,
      ],
    ],
    ['ioredis', ioredisSnippets(cache, context.caFile)],
  ];
}

function ioredisSnippets(cache: CacheStatus, caFile: string | null): string[] {
  const { host, port } = splitEndpoint(cache.endpoint);
  const address = `host: '${host}', port: ${port}`;
  const ca = caFile === null ? '{}' : `{ ca: readFileSync('${caFile}') }`;
  const tls = cache.spec.tls !== 'off';
  const plain = `new Redis({ ${address}${tls ? `, tls: ${ca}` : ''} })`;
  if (!cache.spec.sharding) return [plain];
  return [
    plain,
    tls
      ? `new Cluster([{ ${address} }], { redisOptions: { tls: ${ca} } })`
      : `new Cluster([{ ${address} }])`,
  ];
}
