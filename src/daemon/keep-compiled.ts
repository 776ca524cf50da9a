/**
 * More than half of what a process of ours needs to start is the reading of its code: node keeps what it has compiled, for
 * the next one. It matters where a primary has died together with the daemon, and its clients wait for whoever starts next.
 */
import { enableCompileCache, flushCompileCache } from 'node:module';
import { defaultCompiledDir } from '../model/data-dir.ts';

/**
 * Loads what a process is made of. A directory that cannot be written is no error: all is compiled then.
 *
 * @param load by `import()`: what the entry itself imports is compiled before this is called
 */
export async function keepCompiled(load: () => Promise<unknown>): Promise<void> {
  enableCompileCache(defaultCompiledDir());
  await load();
  // Node does it when a process ends of its own will, and ours are killed. Nothing to do but at the first start.
  flushCompileCache();
}
