/** The routes of the daemon's local API; shapes and words are in model/admin-api.ts. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { zodSentence } from '../control/admit-cache.ts';
import { ControlError } from '../control/control-error.ts';
import type { ControlPlane } from '../control/control-plane.ts';
import type { CacheEvent, SystemStatus } from '../model/admin-api.ts';
import { heatAnswer } from './heat-answer.ts';
import { streamProgress, type Operation } from './progress-stream.ts';

export interface AdminRoutesDependencies {
  readonly control: ControlPlane;
  readonly version: string;
  readonly dataDir: string;
  readonly startedAtMs: number;
  metricsUrl(): string | null;
  /** Stops everything; the process ends after the answer is out. */
  readonly shutDown: Operation;
}

const userChangeSchema = z.strictObject({
  enabled: z.boolean().optional(),
  nopass: z.boolean().optional(),
  passwords: z.array(z.string().min(1, 'a password may not be empty').max(4096)).optional(),
  rules: z.string().max(65_536).optional(),
});
const eventsSchema = z.strictObject({
  cache: z.string().toLowerCase().optional(),
  limit: z.coerce.number().int().min(1).max(10_000).default(100),
  after: z.coerce.number().int().min(0).default(0),
});
const failoverSchema = z.strictObject({ shard: z.int().min(0) });

const parallelShards = z.int().min(1).max(500).default(1);
const upgradeSchema = z.strictObject({ engineVersion: z.string().max(64), parallelShards });
const removeHostSchema = z.strictObject({ dead: z.boolean().default(false) });
const restartSchema = z.strictObject({ parallelShards });

type CacheParams = { Params: { name: string } };
type NodeParams = { Params: { name: string; node: string } };
type HostParams = { Params: { host: string } };
type UserParams = { Params: { name: string; user: string } };
type EngineParams = { Params: { line: string } };

export function registerAdminRoutes(app: FastifyInstance, deps: AdminRoutesDependencies): void {
  const { control } = deps;
  const stream = (reply: Parameters<typeof streamProgress>[0], operation: Operation) =>
    streamProgress(reply, operation, (error) => app.log.warn({ err: error }, 'operation failed'));

  app.get('/v1/status', (): SystemStatus => ({
    version: deps.version,
    pid: process.pid,
    startedAtMs: deps.startedAtMs,
    dataDir: deps.dataDir,
    metricsUrl: deps.metricsUrl(),
    proxies: control.proxies(),
    caches: control.caches(),
  }));

  app.get('/v1/caches', () => control.caches());
  app.get<CacheParams>('/v1/caches/:name', ({ params }) => control.cache(params.name));
  app.post('/v1/caches', ({ body }, reply) =>
    stream(reply, (report) => control.createCache(body, report)),
  );
  app.patch<CacheParams>('/v1/caches/:name', ({ params, body }) =>
    control.modifyCache(params.name, body),
  );
  app.get<CacheParams>('/v1/caches/:name/explain', ({ params }) => control.explain(params.name));
  app.delete<CacheParams>('/v1/caches/:name', ({ params }, reply) =>
    stream(reply, (report) => control.deleteCache(params.name, report)),
  );
  app.post<CacheParams>('/v1/caches/:name/failover', ({ params, body }, reply) => {
    const { shard } = check(failoverSchema, body);
    return stream(reply, (report) => control.failover(params.name, shard, report));
  });

  app.get<CacheParams>('/v1/caches/:name/heat', ({ params }) => {
    const heat = control.heat(params.name);
    if (heat === null)
      throw new ControlError('ServiceUnavailable', 'Nothing is known of its heat yet.');
    return heatAnswer(heat);
  });
  app.post<CacheParams>('/v1/caches/:name/upgrade', ({ params, body }, reply) => {
    const change = check(upgradeSchema, body);
    return stream(reply, (report) => control.upgrade(params.name, change, report));
  });
  app.post<CacheParams>('/v1/caches/:name/restart', ({ params, body }, reply) => {
    const { parallelShards } = check(restartSchema, body ?? {});
    return stream(reply, (report) => control.restart(params.name, parallelShards, report));
  });
  app.post<NodeParams>('/v1/caches/:name/nodes/:node/replace', ({ params }, reply) =>
    stream(reply, (report) => control.replaceNode(params.name, params.node, report)),
  );

  app.get<CacheParams>('/v1/caches/:name/users', ({ params }) => control.users(params.name));
  app.put<UserParams>('/v1/caches/:name/users/:user', ({ params, body }) => {
    const { enabled, nopass, passwords, rules } = check(userChangeSchema, body);
    return control.putUser(params.name, params.user, {
      ...(enabled === undefined ? {} : { enabled }),
      ...(nopass === undefined ? {} : { nopass }),
      ...(passwords === undefined ? {} : { passwords }),
      ...(rules === undefined ? {} : { rules }),
    });
  });
  app.delete<UserParams>('/v1/caches/:name/users/:user', async ({ params }, reply) => {
    await control.removeUser(params.name, params.user);
    return reply.code(204).send();
  });

  app.get('/v1/hosts', () => control.hosts());
  app.post<HostParams>('/v1/hosts/:host/drain', ({ params }, reply) =>
    stream(reply, (report) => control.drainHost(params.host, report)),
  );
  app.post<HostParams>('/v1/hosts/:host/undrain', ({ params }) => control.undrainHost(params.host));
  app.post<HostParams>('/v1/hosts/:host/remove', ({ params, body }, reply) => {
    const { dead } = check(removeHostSchema, body ?? {});
    return stream(reply, (report) => control.removeHost(params.host, dead, report));
  });

  app.get('/v1/engines', () => control.engines());
  app.post<EngineParams>('/v1/engines/:line', ({ params }, reply) =>
    stream(reply, (report) => control.installEngine(params.line, report)),
  );
  app.delete<EngineParams>('/v1/engines/:line', async ({ params }, reply) => {
    await control.removeEngine(params.line);
    return reply.code(204).send();
  });

  app.get('/v1/events', ({ query }): CacheEvent[] => {
    const { cache, limit, after } = check(eventsSchema, query);
    return control.events(cache ?? null, limit, after).toReversed();
  });

  app.post('/v1/shutdown', (_request, reply) => stream(reply, deps.shutDown));
}

function check<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new ControlError('InvalidParameterValue', zodSentence(parsed.error));
  return parsed.data;
}
