/** Fans messages out to the sessions of one cache. */
import type { CacheService } from './cache-service.ts';
import type { Session } from './session.ts';

export class PubSubHub {
  readonly service: CacheService;

  constructor(service: CacheService) {
    this.service = service;
  }

  leave(session: Session): void {
    session.client.subscriptions = null;
  }

  close(): void {}
}
