/**
 * For tests: the daemon's API as model/admin-api.ts writes it, over a unix socket in a data directory of its own, holding
 * its caches in memory. It starts no process and serves no client; what a daemon really does is tested in e2e/.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  ApiFailure,
  CacheChange,
  CacheEvent,
  CacheStatus,
  CacheTraffic,
  EngineStatus,
  HostStatus,
  NodeStatus,
  Progress,
  SystemStatus,
  UserChange,
  UserStatus,
} from '../model/admin-api.ts';
import { cacheSpecSchema, ENGINE_LINES, type CacheSpec } from '../model/cache-spec.ts';
import { dataDirPaths } from '../model/data-dir.ts';
import {
  COMMAND_GROUPS,
  LATENCY_BOUNDS_US,
  type CommandGroup,
  type LatencyHistogram,
} from '../model/usage.ts';

export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** A histogram whose requests all fell in the bucket of `bound`. */
export function histogramOf(requests: number, bucket: number): LatencyHistogram {
  const buckets = Array.from({ length: LATENCY_BOUNDS_US.length + 1 }, (_, index) =>
    index === bucket ? requests : 0,
  );
  return { buckets, count: requests, sumUs: requests * 100 };
}

function fakeTraffic(requests: number): CacheTraffic {
  const latencyByGroup = Object.fromEntries(
    COMMAND_GROUPS.map((group) => [group, histogramOf(group === 'read' ? requests : 0, 2)]),
  ) as Record<CommandGroup, LatencyHistogram>;
  return {
    requestsPerSecond: 12_345,
    connections: 50,
    bytesInPerSecond: 2_000_000,
    bytesOutPerSecond: 3_000_000,
    errorsByKind: { WRONGTYPE: 3 },
    retries: 7,
    latencyByGroup,
    nodes: [],
  };
}

function fakeCache(spec: CacheSpec): CacheStatus {
  const port = spec.port === 0 ? 21_000 : spec.port;
  const nodes: NodeStatus[] = [];
  for (let shard = 0; shard < spec.shards; shard += 1)
    for (let index = 0; index <= spec.replicas; index += 1)
      nodes.push({
        id: `${spec.name}-${shard}-${index}`,
        host: '127.0.0.1',
        hostId: 'local',
        zone: 'local',
        port: 30_000 + shard * 10 + index,
        pid: 40_000 + shard * 10 + index,
        shard,
        role: index === 0 ? 'primary' : 'replica',
        state: 'online',
        engineVersion: '9.1.2',
        usedMemoryBytes: 10 * 1024 ** 2,
        keys: 1000,
        replicationLagBytes: index === 0 ? null : 0,
        restarts: 0,
      });
  return {
    spec,
    id: `id-${spec.name}`,
    state: 'available',
    reason: null,
    engineFullVersion: '9.1.2',
    endpoint: `${spec.bind}:${port}`,
    readerEndpoint: `${spec.bind}:${spec.readerPort === 0 ? port + 1 : spec.readerPort}`,
    createdAtMs: Date.now() - 65_000,
    nodes,
    traffic: fakeTraffic(1000),
  };
}

export class FakeApiServer implements AsyncDisposable {
  readonly dataDir: string;
  readonly requests: Recorded[] = [];
  readonly caches = new Map<string, CacheStatus>();
  readonly users = new Map<string, UserStatus>();
  readonly installed = new Set<string>(['9.1']);
  readonly events: CacheEvent[] = [];
  readonly hosts: HostStatus[] = [];
  /** How the installed engines' valkey-cli is started. */
  valkeyCli: readonly string[] | null = null;
  /** What the next long operation ends with instead of `done`. */
  failure: ApiFailure | null = null;
  /** What is said to every change of a user instead of making it. */
  refuseUsers: ApiFailure | null = null;
  /** Cut the next long operation in the middle. */
  cut = false;
  /** The next long operations do not end. */
  hold = false;
  readonly #server: Server;

  private constructor(dataDir: string) {
    this.dataDir = dataDir;
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  static async start(): Promise<FakeApiServer> {
    const dataDir = mkdtempSync(join(tmpdir(), 'springtide-cli-'));
    const { run, apiSocket } = dataDirPaths(dataDir);
    mkdirSync(run, { recursive: true, mode: 0o700 });
    const fake = new FakeApiServer(dataDir);
    await new Promise<void>((resolve) => fake.#server.listen(apiSocket, resolve));
    return fake;
  }

  addCache(input: Partial<CacheSpec> & { name: string }): CacheStatus {
    const cache = fakeCache(cacheSpecSchema.parse(input));
    this.caches.set(cache.spec.name, cache);
    return cache;
  }

  status(): SystemStatus {
    return {
      version: '0.1.0',
      // Nobody's process: a shutdown waits for this one to end.
      pid: 2 ** 22 + 1,
      startedAtMs: Date.now() - 3_600_000,
      dataDir: this.dataDir,
      metricsUrl: 'http://127.0.0.1:9121/metrics',
      proxies: [
        {
          index: 0,
          pid: 50_000,
          state: 'serving',
          restarts: 0,
          topologyVersion: 1,
          cpuSeconds: 1.5,
          memoryBytes: 60e6,
        },
      ],
      caches: [...this.caches.values()],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += chunk;
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    const method = request.method!;
    const path = decodeURIComponent(request.url!);
    this.requests.push({ method, path, body });
    const { pathname, searchParams } = new URL(path, 'http://localhost');
    const [, , collection, name, below, leaf] = pathname.split('/');
    const key = `${method} ${collection}${below ? `/${below}` : ''}`;
    const cache = collection === 'caches' && name !== undefined ? this.caches.get(name) : undefined;
    if (collection === 'caches' && name !== undefined && !cache)
      return fail(
        response,
        404,
        'ServerlessCacheNotFoundFault',
        `There is no cache named ${name}.`,
      );
    switch (key) {
      case 'GET status':
        return answer(response, this.status());
      case 'GET caches':
        return answer(response, cache ?? [...this.caches.values()]);
      case 'POST caches': {
        const spec = cacheSpecSchema.parse(body);
        if (this.caches.has(spec.name))
          return fail(
            response,
            409,
            'ServerlessCacheAlreadyExistsFault',
            `A cache named ${spec.name} exists already.`,
          );
        return this.#operation(response, 'starting nodes', () => this.addCache(spec));
      }
      case 'PATCH caches': {
        const { limits, ...fields } = body as CacheChange;
        const { spec } = cache!;
        const changed = { ...spec, ...fields, limits: { ...spec.limits, ...limits } };
        this.caches.set(spec.name, { ...cache!, spec: cacheSpecSchema.parse(changed) });
        return answer(response, this.caches.get(spec.name));
      }
      case 'DELETE caches':
        return this.#operation(
          response,
          'stopping nodes',
          () => void this.caches.delete(cache!.spec.name),
        );
      case 'POST caches/failover':
        return this.#operation(response, 'promoting', () => undefined);
      case 'POST caches/upgrade':
      case 'POST caches/restart':
      case 'POST caches/nodes':
        return this.#operation(response, 'changing nodes', () => cache!);
      case 'GET caches/users':
        return answer(response, [...this.users.values()]);
      case 'PUT caches/users':
        if (this.refuseUsers)
          return fail(response, 400, this.refuseUsers.code, this.refuseUsers.message);
        return answer(response, this.#putUser(leaf!, body as UserChange));
      case 'DELETE caches/users':
        if (!this.users.delete(leaf!))
          return fail(response, 404, 'UserNotFoundFault', `There is no user named ${leaf}.`);
        response.statusCode = 204;
        return void response.end();
      case 'GET events': {
        const [cache, after] = [searchParams.get('cache'), Number(searchParams.get('after'))];
        return answer(
          response,
          this.events
            .filter((event) => event.id > after && (cache === null || event.cache === cache))
            .slice(-Number(searchParams.get('limit'))),
        );
      }
      case 'GET hosts':
        return answer(response, this.hosts);
      case 'POST hosts/undrain':
        return answer(
          response,
          this.hosts.find(({ id }) => id === name),
        );
      case 'POST hosts/drain':
      case 'POST hosts/remove':
        return this.#operation(response, 'moving nodes', () => undefined);
      case 'GET engines':
        return answer(response, this.engines());
      case 'POST engines':
        return this.#operation(response, 'downloading', () => void this.installed.add(name!));
      case 'DELETE engines':
        this.installed.delete(name!);
        response.statusCode = 204;
        return void response.end();
      case 'POST shutdown':
        return this.#operation(response, 'stopping nodes', () => this.caches.clear());
      default:
        return fail(response, 404, 'NotFound', `${method} ${path} is not part of the API.`);
    }
  }

  engines(): EngineStatus[] {
    return ENGINE_LINES.map((line) => ({
      engine: 'valkey',
      line,
      version: this.installed.has(line) ? `${line}.2` : null,
      installed: this.installed.has(line),
      source: 'forky',
      cli: this.installed.has(line) ? this.valkeyCli : null,
      usedBy: [...this.caches.values()]
        .filter((cache) => cache.spec.engineVersion === line)
        .map((cache) => cache.spec.name),
    }));
  }

  #putUser(name: string, change: UserChange): UserStatus {
    const known = this.users.get(name) ?? {
      name,
      enabled: false,
      nopass: false,
      passwords: 0,
      rules: '',
    };
    const user = {
      name,
      enabled: change.enabled ?? known.enabled,
      nopass: change.nopass ?? known.nopass,
      passwords: change.passwords?.length ?? known.passwords,
      rules: change.rules ?? known.rules,
    };
    this.users.set(name, user);
    return user;
  }

  #operation(
    response: ServerResponse,
    step: string,
    work: () => CacheStatus | undefined | void,
  ): void {
    const line = (progress: Progress) => response.write(`${JSON.stringify(progress)}\n`);
    response.setHeader('content-type', 'application/x-ndjson');
    line({ type: 'progress', step, fraction: 0.25, detail: '1 of 4' });
    if (this.cut) return void setImmediate(() => response.destroy());
    line({ type: 'progress', step, fraction: 0.5 });
    if (this.hold) return;
    if (this.failure) line({ type: 'failed', error: this.failure });
    else {
      const cache = work();
      line(cache ? { type: 'done', cache } : { type: 'done' });
    }
    response.end();
  }
}

function answer(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

function fail(response: ServerResponse, status: number, code: string, message: string): void {
  response.statusCode = status;
  answer(response, { code, message } satisfies ApiFailure);
}
