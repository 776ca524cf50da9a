/** The topology that proxies are sent: made from the store, in versions that only grow. */
import type { CacheSpec } from '../model/cache-spec.ts';
import type { Topology } from '../model/topology.ts';
import type { Store } from './store.ts';
import type { NodeRecord } from './store-records.ts';
import { developmentCertificatePaths, topologyOf } from './topology-of.ts';

export class TopologySource {
  readonly #store: Store;
  readonly #tlsDir: string;
  readonly #address: (node: NodeRecord) => string;
  #current: Topology;

  /** @param address of a node: where it listens */
  constructor(store: Store, tlsDir: string, address: (node: NodeRecord) => string) {
    this.#store = store;
    this.#tlsDir = tlsDir;
    this.#address = address;
    this.#current = this.#make(store.topologyVersion());
  }

  get current(): Topology {
    return this.#current;
  }

  /** Makes it anew from what the store says now. */
  renew(): void {
    this.#current = this.#make(this.#store.nextTopologyVersion(Date.now()));
  }

  /** Development certificates for the caches that use them: made if absent, renewed before they end. */
  async ensureCertificate(specs: readonly CacheSpec[]): Promise<void> {
    const users = specs.filter((spec) => spec.tls !== 'off' && spec.tlsCertFile === undefined);
    if (users.length === 0) return;
    // Loaded only by those who need it: it is the largest library of the daemon.
    const { ensureDevelopmentCertificate } = await import('./development-certificate.ts');
    const names = users.flatMap((spec) => [spec.bind, spec.announceHost ?? spec.bind]);
    await ensureDevelopmentCertificate(this.#tlsDir, names);
  }

  #make(version: number): Topology {
    return topologyOf(
      version,
      this.#store.caches().map((cache) => ({
        cache,
        nodes: this.#store.nodes(cache.id),
        users: this.#store.users(cache.id),
      })),
      developmentCertificatePaths(this.#tlsDir),
      this.#address,
    );
  }
}
