/** Reads that the near cache of a ProxiedCache answers. */
import type { ProxiedCache } from './proxied-cache.ts';
import type { RawClient } from './raw-client.ts';
import { until } from './until.ts';

type Read = readonly [string, ...(string | number)[]];

/** Reads until the near cache answers: many reads make a key hot, and it stays hot for a while. */
export async function heat(cache: ProxiedCache, client: RawClient, ...read: Read): Promise<void> {
  await until(async () => {
    for (let i = 0; i < 300; i++) client.send(...read);
    await client.replies(300);
    await client.call(...read);
    await client.call(...read);
    return isNear(cache, client, ...read);
  });
}

/** Is the reply given by the near cache? */
export async function isNear(
  cache: ProxiedCache,
  client: RawClient,
  ...read: Read
): Promise<boolean> {
  const { nearHits } = cache.usage();
  await client.raw(...read);
  return cache.usage().nearHits > nearHits;
}
