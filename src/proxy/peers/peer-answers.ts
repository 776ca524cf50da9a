/** What a proxy tells the other proxies of its machine about its clients (peer-link.ts). */
import { z } from 'zod';
import type { CacheService } from '../cache-service.ts';
import { CLIENT_ANSWERS } from '../client-registry.ts';
import { SCRIPT_ANSWERS } from './peer-scripts.ts';

const countsQuestion = z.object({
  kind: z.enum(['channel', 'pattern', 'shard']),
  /** Latin1; absent: all that have subscribers. */
  names: z.array(z.string()).optional(),
});
export type CountsQuestion = z.infer<typeof countsQuestion>;

/** Names and how many clients are subscribed to each. */
export const countsAnswer = z.array(z.tuple([z.string(), z.number()]));

/** By the operation's name; the body is what the other proxy sent. */
const ANSWERS: Readonly<Record<string, (service: CacheService, body: unknown) => unknown>> = {
  'pubsub-counts': (service, body): z.infer<typeof countsAnswer> => {
    const { kind, names } = countsQuestion.parse(body);
    if (names === undefined) return [...service.hub.counts(kind)];
    return names.map((name) => [name, service.hub.count(kind, name)]);
  },
  ...SCRIPT_ANSWERS,
  ...CLIENT_ANSWERS,
};

export function answerPeer(service: CacheService, op: string, body: unknown): unknown {
  const answer = ANSWERS[op];
  if (answer === undefined) throw new TypeError(`unknown question ${op}`);
  return answer(service, body);
}
