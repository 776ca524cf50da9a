import type { Address, Credentials } from '../admin.ts';
import type { CertificateFiles } from '../certificate.ts';
import type { PidsByRole } from '../cpu.ts';
import type { PortPicker } from '../ports.ts';
import type { Invocation, Processes } from '../processes.ts';

/** Something that takes the load: nodes themselves, or a proxy before them. */
export interface Target {
  /** As in `--only` and in the JSON. */
  readonly name: string;
  /** For the table and the plot. */
  readonly label: string;
  /** What is measured, with its version. */
  readonly version: string;
  readonly plain: Address | null;
  readonly tls: Address | null;
  readonly credentials?: Credentials;
  /** For the names of the keys, where the keyspace is somebody's. */
  readonly keyPrefix?: string;
  /** Clients know the cluster and connect to every node. */
  readonly cluster: boolean;
  /** Nodes that may be asked for INFO, so that missed GETs are noticed in the run; empty where they are not ours to ask. */
  readonly nodes: readonly Address[];
  /** File descriptors that one client connection takes in the target's hungriest process. */
  readonly descriptorsPerClient: number;
  /** Read before and after every run: a supervised process may have been replaced in between. */
  pids(): PidsByRole | Promise<PidsByRole>;
}

/** What a target needs to be started. */
export interface TargetContext {
  /** Takes what has to be undone beyond ending processes. */
  readonly cleanup: AsyncDisposableStack;
  readonly processes: Processes;
  readonly ports: PortPicker;
  readonly directory: string;
  /** Null when no TLS cell is measured. */
  readonly certificate: CertificateFiles | null;
  readonly valkeyServer: Invocation;
  readonly valkeyVersion: string;
  readonly shards: number;
  /** Open files that a process may have. */
  readonly descriptorLimit: number;
}
