/**
 * Waiting at one server with random arrivals (M/G/1, Pollaczek and Khinchine), and the quantile of a mixture of servers:
 * what a client sees is mostly its own shard's queue.
 */
export interface Server {
  /** Share of all requests. */
  readonly share: number;
  /** Utilisation, below 1. */
  readonly utilisation: number;
  /** Mean service time, milliseconds. */
  readonly serviceMs: number;
  /** Squared coefficient of variation of service times. */
  readonly variation: number;
  /** Time that every request waits besides: a backlog before it. */
  readonly delayMs: number;
}

/** Utilisation is kept below this: the backlog is modelled apart, as `delayMs`. */
const MOST = 0.995;

/** Probability that a request waits longer than `waitMs`; exponential tail with the exact mean. */
export function waitsLonger(server: Server, waitMs: number): number {
  if (waitMs < server.delayMs) return 1;
  const utilisation = Math.min(MOST, server.utilisation);
  if (utilisation <= 0) return 0;
  const mean = meanWaitMs(server);
  // P(wait > 0) is the utilisation; given that, exponential.
  return utilisation * Math.exp((-utilisation * (waitMs - server.delayMs)) / mean);
}

/** Mean wait of M/G/1, without the backlog. */
export function meanWaitMs(server: Server): number {
  const utilisation = Math.min(MOST, server.utilisation);
  return (utilisation * server.serviceMs * (1 + server.variation)) / (2 * (1 - utilisation));
}

/** Wait that `quantile` of all requests stay below. */
export function mixtureQuantile(servers: readonly Server[], quantile: number): number {
  const total = servers.reduce((sum, server) => sum + server.share, 0);
  if (total <= 0) return 0;
  const tail = (1 - quantile) * total;
  const longer = (waitMs: number): number =>
    servers.reduce((sum, server) => sum + server.share * waitsLonger(server, waitMs), 0);
  if (longer(0) <= tail) return 0;
  let high = 0.01;
  while (longer(high) > tail && high < 1e6) high *= 2;
  let low = 0;
  for (let step = 0; step < 40; step += 1) {
    const middle = (low + high) / 2;
    if (longer(middle) > tail) low = middle;
    else high = middle;
  }
  return high;
}
