/** Scripts that a proxy knows by their text, for the other proxies of its machine (routing/missing-scripts.ts). */
import { z } from 'zod';
import type { CacheService } from '../cache-service.ts';
import type { Peers } from './peer-link.ts';

/** Base64; null: not known. */
const answer = z.string().nullable();

/** What other proxies may ask of this one (peer-answers.ts). */
export const SCRIPT_ANSWERS: Readonly<
  Record<string, (service: CacheService, body: unknown) => unknown>
> = {
  'script-body': ({ router }, sha): z.infer<typeof answer> => {
    const body = router.scripts.body(z.string().parse(sha));
    return body === null ? null : Buffer.from(body).toString('base64');
  },
  'scripts-flushed': ({ router }): null => {
    router.scripts.flushed();
    return null;
  },
};

/** The script's text from whichever knows it; null when none does. */
export async function scriptOfPeers(
  peers: Peers,
  cache: string,
  sha: string,
): Promise<Uint8Array | null> {
  for (const reply of await peers.ask('script-body', cache, sha)) {
    const { data } = answer.safeParse(reply);
    if (data !== undefined && data !== null) return Buffer.from(data, 'base64');
  }
  return null;
}
