/**
 * How much memory the clients of one proxy process may make it hold together: a quarter of what the machine, or the group of
 * processes that this one is confined to, has, shared by the machine's proxies. The rest is for the nodes.
 */
import { totalmem } from 'node:os';

/** One large request or reply must be possible on a small machine, too. */
const MINIMUM_BYTES = 256 * 1024 * 1024;
const SHARE = 1 / 4;

/** @param proxies on this machine */
export function clientMemoryBytes(
  proxies: number,
  totalBytes = totalmem(),
  constrainedBytes = process.constrainedMemory(),
): number {
  // Where there is no limit the system says 0, or more than there is.
  const available = constrainedBytes > 0 ? Math.min(totalBytes, constrainedBytes) : totalBytes;
  return Math.max(MINIMUM_BYTES, Math.floor((available * SHARE) / proxies));
}
