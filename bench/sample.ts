/**
 * What is measured: the shapes that the harness writes to JSON and that report, plot and goals read. No behaviour here.
 *
 * A cell is one load (clients, pipeline, TLS); a run is one valkey-benchmark command (GET or SET) of one cell against
 * one target in one repetition. Ratios are only ever formed between runs of the same cell, command and repetition.
 */
export type BenchCommand = 'get' | 'set';
export const BENCH_COMMANDS: readonly BenchCommand[] = ['get', 'set'];

/** One load, whatever it is aimed at. */
export interface Cell {
  readonly clients: number;
  readonly pipeline: number;
  readonly tls: boolean;
}

/** CPU seconds (user + system) spent during a run, by what the processes do. */
export interface CpuSplit {
  readonly proxy: number;
  readonly node: number;
  /** Neither serves requests: Springtide's daemon. Reported, not part of any ratio. */
  readonly other: number;
}

interface RunKey extends Cell {
  readonly target: string;
  readonly command: BenchCommand;
  /** From 1. */
  readonly repetition: number;
}

/** A run that was measured and that had no error reply. */
export interface Sample extends RunKey {
  readonly requests: number;
  readonly wallSeconds: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuSeconds: CpuSplit;
}

/** A run that does not count: an error reply, a crash, a timeout. */
export interface FailedRun extends RunKey {
  readonly error: string;
}

/** Idle connections on one target: what they weigh and what they cost those that work. */
export interface IdleResult {
  readonly target: string;
  /** Connections that were open, each after one PING and one GET. */
  readonly connections: number;
  /** Growth of resident memory per connection, bytes. */
  readonly proxyBytesPerConnection: number;
  readonly nodeBytesPerConnection: number;
  /** Throughput of 50 active clients with the idle ones held, over that without, one per repetition. */
  readonly heldRatios: readonly number[];
  readonly error?: string;
}

export interface BenchVersions {
  readonly springtide: string;
  readonly node: string;
  readonly valkey: string;
  readonly [peer: string]: string;
}

export interface BenchMachine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
}

/** The whole outcome, as `--json` writes it and `--from` reads it. */
export interface BenchResults {
  readonly format: 1;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly machine: BenchMachine;
  readonly versions: BenchVersions;
  readonly settings: {
    readonly repetitions: number;
    readonly secondsPerRun: number;
    readonly keys: number;
    readonly valueBytes: number;
    readonly shards: number;
  };
  /** Targets in the order of the report; those left out say why. */
  readonly targets: readonly { readonly name: string; readonly label: string }[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  readonly samples: readonly Sample[];
  readonly failures: readonly FailedRun[];
  readonly idle: readonly IdleResult[];
}

/** The name of the target that every ratio is formed against: cluster-aware clients on the nodes themselves. */
export const BASELINE = 'direct';
