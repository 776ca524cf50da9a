/** Commands without a line of their own in the differential cases, and what proves them instead. */

const SUBSCRIPTIONS =
  'subscriptions speak by themselves: "subscriptions" in differential.valkey.test.ts';

export const provenElsewhere: Readonly<Record<string, string>> = {
  subscribe: SUBSCRIPTIONS,
  psubscribe: SUBSCRIPTIONS,
  ssubscribe: SUBSCRIPTIONS,
  unsubscribe: SUBSCRIPTIONS,
  punsubscribe: SUBSCRIPTIONS,
  sunsubscribe: SUBSCRIPTIONS,
  monitor: 'its lines come by themselves: "MONITOR shows what others do"',
  quit: 'ends the connection: "QUIT answers, then closes"',
};
