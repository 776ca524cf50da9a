/**
 * The HTTP servers of the daemon: the admin API on a unix socket that only its owner can open, and `/metrics` on a
 * loopback port for Prometheus. Two servers, so that nothing of the one can be reached through the other.
 */
import { chmodSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { fastify, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { registerAdminRoutes, type AdminRoutesDependencies } from './admin-routes.ts';
import { failureOf } from './api-failure.ts';

/** A specification or a user change is a few kilobytes. */
const BODY_MAX_BYTES = 1024 ** 2;

/** What a name in a path may have, so that one that is too long is refused by who knows how long it may be. */
const NAME_MAX_CHARACTERS = 4096;

/** Listens on the unix socket. The data directory's lock is held: a socket that is there is a dead daemon's. */
export async function startAdminServer(
  socketPath: string,
  deps: AdminRoutesDependencies,
  log: Logger,
): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: log.child({ part: 'api' }, { level: 'warn' }),
    bodyLimit: BODY_MAX_BYTES,
    routerOptions: { maxParamLength: NAME_MAX_CHARACTERS },
    forceCloseConnections: 'idle',
  }) as unknown as FastifyInstance;
  // A body is optional where nothing is asked (POST /v1/shutdown).
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    (_request, body: string, done) => {
      try {
        done(null, body === '' ? {} : JSON.parse(body));
      } catch {
        done(Object.assign(new Error('the body is not valid JSON'), { statusCode: 400 }));
      }
    },
  );
  app.setErrorHandler((error, request, reply) => {
    const failure = failureOf(error);
    if (failure.status >= 500) request.log.error({ err: error }, 'request failed');
    return reply.code(failure.status).send(failure.body);
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      code: 'InvalidAction',
      message: `there is no ${request.method} ${request.url.split('?')[0]}`,
    }),
  );
  registerAdminRoutes(app, deps);
  rmSync(socketPath, { force: true });
  await app.listen({ path: socketPath });
  chmodSync(socketPath, 0o600);
  return app;
}

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Listens on loopback for Prometheus.
 *
 * @param port wanted port; when it is taken a free one is used instead, and the caller says so
 * @param render the exposition text, made at each scrape
 */
export async function startMetricsServer(
  port: number,
  render: () => Promise<{ contentType: string; text: string }>,
  log: Logger,
): Promise<MetricsServer> {
  const app = fastify({ loggerInstance: log.child({ part: 'metrics' }, { level: 'warn' }) });
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await render();
    return reply.type(contentType).send(text);
  });
  try {
    await app.listen({ host: '127.0.0.1', port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    await app.listen({ host: '127.0.0.1', port: 0 });
  }
  return {
    url: `http://127.0.0.1:${(app.addresses()[0] as AddressInfo).port}/metrics`,
    close: async () => {
      await app.close();
    },
  };
}
