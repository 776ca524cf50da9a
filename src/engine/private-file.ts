/** Files of a node that only its owner may read. */
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';

/**
 * Makes the file say `text`. One that says it already is left alone: a node must be able to start again on a full disk.
 */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => null)) === text) return chmod(path, 0o600);
  // Written anew rather than over, so that the mode holds for a file that was there.
  await rm(path, { force: true });
  await writeFile(path, text, { mode: 0o600, flag: 'wx' });
}
