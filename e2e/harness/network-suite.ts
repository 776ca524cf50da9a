/** A suite with a daemon over several hosts, each in a network namespace of its own, that can be cut off. Skipped without root. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { TestDaemon } from '../../src/daemon/fixtures/test-daemon.ts';
import { REAL_PROXIES } from './daemon-traffic.ts';
import { TestNetwork } from './test-network.ts';

/** One host in each of the zones `east`, `middle` and `west`. */
export function networkSuite(
  name: string,
  body: (network: TestNetwork, daemon: TestDaemon) => void,
): void {
  const missing = TestNetwork.missing();
  if (missing !== null) {
    test(name, { skip: missing }, () => undefined);
    return;
  }
  suite(name, () => {
    const network = TestNetwork.create(['east', 'middle', 'west']);
    const dir = mkdtempSync(join(tmpdir(), 'springtide-hosts-'));
    const file = join(dir, 'hosts.json');
    writeFileSync(file, JSON.stringify(network.hosts));
    const daemon = TestDaemon.forSuite(null, [REAL_PROXIES, `--hosts=${file}`]);
    after(() => {
      network.remove();
      rmSync(dir, { recursive: true });
    });
    body(network, daemon);
  });
}
