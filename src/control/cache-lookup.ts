/** Finds the cache that somebody names, or says why not. */
import { ControlError } from './control-error.ts';
import type { CacheRecord } from './store-records.ts';
import type { Store } from './store.ts';

export class CacheLookup {
  readonly #store: Store;
  readonly #isStopping: () => boolean;

  constructor(store: Store, isStopping: () => boolean) {
    this.#store = store;
    this.#isStopping = isStopping;
  }

  /** @throws ControlError ServerlessCacheNotFoundFault */
  find(name: string): CacheRecord {
    const cache = this.#store.cacheByName(name.toLowerCase());
    if (cache === undefined) {
      throw new ControlError('ServerlessCacheNotFoundFault', `there is no cache named ${name}`);
    }
    return cache;
  }

  /** One that can be changed now. @throws ControlError also InvalidServerlessCacheStateFault, ServiceUnavailable */
  available(name: string): CacheRecord {
    this.refuseWhileStopping();
    const cache = this.find(name);
    if (cache.state !== 'available' && cache.state !== 'modifying') {
      throw new ControlError(
        'InvalidServerlessCacheStateFault',
        `cache ${name} is ${cache.state}, not available`,
      );
    }
    return cache;
  }

  /** @throws ControlError ServiceUnavailable */
  refuseWhileStopping(): void {
    if (this.#isStopping()) throw new ControlError('ServiceUnavailable', 'Springtide is stopping');
  }
}
