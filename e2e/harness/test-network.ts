/**
 * A network of hosts on one machine: a bridge, and a network namespace for each host with an address of its own. A host
 * can be cut off and joined again. Needs root; everything is removed with the suite.
 *
 *   root namespace (daemon, proxies, clients)  10.x.y.254 ── bridge ── veth ── namespace of host n  10.x.y.n
 */
import { execFileSync } from 'node:child_process';
import type { HostSpec } from '../../src/model/host-spec.ts';

export class TestNetwork {
  readonly hosts: readonly (HostSpec & { readonly netns: string })[];
  readonly #bridge: string;

  private constructor(bridge: string, hosts: TestNetwork['hosts']) {
    this.#bridge = bridge;
    this.hosts = hosts;
  }

  /** Why there can be none here; null: there can. */
  static missing(): string | null {
    if (process.getuid?.() !== 0) return 'network namespaces need root';
    const name = `st${process.pid}probe`;
    try {
      ip('netns', 'add', name);
      ip('netns', 'del', name);
      return null;
    } catch (error) {
      return `no network namespaces here (${String(error).split('\n')[0]})`;
    }
  }

  /** One host in each zone. */
  static create(zones: readonly string[]): TestNetwork {
    const bridge = `st${process.pid}`;
    // Of this process alone, as near as can be.
    const prefix = `10.${200 + (process.pid % 50)}.${(process.pid >> 6) % 250}`;
    const hosts = zones.map((zone, i) => ({
      id: `host-${i + 1}`,
      zone,
      address: `${prefix}.${i + 1}`,
      netns: `${bridge}-${i + 1}`,
    }));
    const network = new TestNetwork(bridge, hosts);
    try {
      ip('link', 'add', bridge, 'type', 'bridge');
      ip('addr', 'add', `${prefix}.254/24`, 'dev', bridge);
      ip('link', 'set', bridge, 'up');
      for (const { netns, address } of hosts) {
        ip('netns', 'add', netns);
        ip('link', 'add', `${netns}v`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
        ip('link', 'set', `${netns}v`, 'master', bridge, 'up');
        ip('-n', netns, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
        for (const link of ['lo', 'eth0']) ip('-n', netns, 'link', 'set', link, 'up');
      }
      return network;
    } catch (error) {
      network.remove();
      throw error;
    }
  }

  /** Nothing gets from that host to anyone else, nor to it; nobody is told. */
  cut(hostId: string): void {
    ip('link', 'set', `${this.#netns(hostId)}v`, 'nomaster');
  }

  join(hostId: string): void {
    ip('link', 'set', `${this.#netns(hostId)}v`, 'master', this.#bridge);
  }

  remove(): void {
    for (const { netns } of this.hosts) {
      // With its end here the other one goes too, though a process may hold the namespace a while longer.
      attempt('link', 'del', `${netns}v`);
      attempt('netns', 'del', netns);
    }
    attempt('link', 'del', this.#bridge);
  }

  #netns(hostId: string): string {
    return this.hosts.find(({ id }) => id === hostId)!.netns;
  }
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function attempt(...words: string[]): void {
  try {
    ip(...words);
  } catch {
    // It was not made.
  }
}
