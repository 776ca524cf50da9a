/**
 * A machine that runs nodes, as the control plane sees it. What it says holds for this machine (local-host.ts) and for
 * others reached through an agent: plain data in and out, no handles, and every request may be repeated. One that cannot
 * be reached answers each of them with NodeError HOST_UNREACHABLE.
 */
import type { NodeSettings } from './node-config.ts';

/** The machine that this process runs on, where nothing else is said. */
export const LOCAL_HOST_ID = 'local';

/** What the control plane decides about a node; the host adds the directory, and the port if none is given. */
export interface NodeRequest extends Omit<NodeSettings, 'dir' | 'logFile' | 'port' | 'aclFile'> {
  /** Engine line or full version; undefined is the host's default. */
  readonly version?: string;
  readonly port?: number;
  /** Lines of an ACL file, `user NAME rule...`, which the node loads as it starts and keeps beside its configuration. */
  readonly aclLines?: readonly string[];
}

export interface HostedNode {
  readonly nodeId: string;
  readonly hostId: string;
  /** Where proxies and the control plane reach it. */
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** The engine's full version. */
  readonly version: string;
  readonly dir: string;
  readonly logFile: string;
}

export interface HostCapacity {
  readonly cores: number;
  /** What nodes may use in all, and what is free of it now. A container's limit counts, where there is one. */
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  /** How busy its processors were since the last time this was asked, 0..1; null: not known. */
  readonly cpuUtilisation: number | null;
}

export interface NodeEnd {
  readonly nodeId: string;
  readonly pid: number;
  /** Whether it was stopped through this host; if not, it died. */
  readonly requested: boolean;
  /** Null where the process was adopted, for which the system tells neither. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The kernel ended it because memory ran out, as far as can be told. */
  readonly outOfMemory: boolean;
}

/** What the machine says of a node's process: tells one that hangs from one that is busy. */
export interface NodeActivity {
  readonly nodeId: string;
  readonly pid: number;
  /** `running`: has a CPU or waits for one. `blocked`: in the kernel, uninterruptibly. `stopped`: by a signal or a debugger. */
  readonly state: 'running' | 'sleeping' | 'blocked' | 'stopped';
  /** CPU time that its main thread has used. */
  readonly cpuMs: number;
  /** How often its main thread has given up a CPU, or lost it. */
  readonly switches: number;
}

export interface StopRequest {
  /** How long the node may take to bring its replicas up to date before it is killed. 0 kills it at once. */
  readonly graceMs?: number;
  /** Deletes the node's directory as well. */
  readonly forget?: boolean;
}

export interface Host {
  readonly id: string;
  /** Hosts of one zone may be lost together. */
  readonly zone: string;
  /** Where its nodes listen, and are reached from everywhere. */
  readonly address: string;
  /** What its nodes may use; does not change. */
  readonly cores: number;
  /**
   * Starts a node, or returns the one that runs under this id.
   *
   * @throws EngineError, NodeError
   */
  startNode(request: NodeRequest, signal?: AbortSignal): Promise<HostedNode>;
  /** Stops a node; one that does not run is no error. */
  stopNode(nodeId: string, request?: StopRequest): Promise<void>;
  /** The nodes that run, those included that were started before we were. */
  list(): Promise<HostedNode[]>;
  capacity(): Promise<HostCapacity>;
  /** What the processes of these nodes do; those that do not run here are left out. */
  activity(nodeIds: readonly string[]): Promise<NodeActivity[]>;
  /** Calls back within milliseconds of the end of any node that was started or listed here. Dispose to stop. */
  onNodeEnd(listener: (end: NodeEnd) => void): Disposable;
}
