/**
 * Answers a long operation: newline-delimited JSON, one Progress a line, the last one `done` or `failed`. The operation
 * goes on when the client leaves. What is refused before the first line is an ordinary error with its HTTP status.
 */
import { PassThrough } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { CacheStatus, Progress } from '../model/admin-api.ts';
import { failureOf } from './api-failure.ts';

export type Operation = (report: (progress: Progress) => void) => Promise<CacheStatus | void>;

/**
 * @param onFailure told of an error that came after the first line, when the HTTP status is gone
 * @throws what `operation` throws before it has reported anything
 */
export async function streamProgress(
  reply: FastifyReply,
  operation: Operation,
  onFailure: (error: unknown) => void,
): Promise<FastifyReply> {
  const lines = new PassThrough();
  lines.on('error', () => undefined);
  const begun = Promise.withResolvers<void>();
  const write = (progress: Progress) => {
    begun.resolve();
    // A reader that stopped reading gets no more lines; they are few and the last one matters most.
    if (!lines.destroyed) lines.write(`${JSON.stringify(progress)}\n`);
  };
  const ended = operation(write).then(
    (cache) => write({ type: 'done', ...(cache === undefined ? {} : { cache }) }),
    (error: unknown) => {
      if (!lines.readableLength) begun.reject(error);
      begun.promise.then(
        () => {
          onFailure(error);
          write({ type: 'failed', error: failureOf(error).body });
        },
        () => undefined,
      );
    },
  );
  void ended.finally(() => lines.end());
  await begun.promise;
  return reply.type('application/x-ndjson').send(lines);
}
