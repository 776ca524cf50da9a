/**
 * Node processes: started detached, so that they outlive us; found again by whoever comes after us; ended on request.
 *
 *   launchNode   write valkey.conf -> spawn in a session of its own -> wait for its first answer -> RunningNode
 *   adoptNode    pid file (else a search of /proc) -> is its command line ours? -> RunningNode
 *
 * A RunningNode tells its end through `exited`. For our own child that is the kernel's word, with exit code or signal.
 * For an adopted process it is an idle connection that breaks, confirmed by /proc (process-watch.ts).
 */
import { spawn } from 'node:child_process';
import { chmod, mkdir, open, readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { EngineInstallation } from './catalogue.ts';
import { LOCAL_HOST_ID } from './host.ts';
import { clusterBusPort, nodeFiles, renderNodeConfig, type NodeSettings } from './node-config.ts';
import { NodeError } from './node-error.ts';
import { pingNode } from './node-ping.ts';
import { portTaken } from './port-check.ts';
import {
  findProcesses,
  ownsListener,
  readCommandLine,
  readProcess,
  signalProcess,
  type ProcessIdentity,
} from './process-identity.ts';
import { watchProcess } from './process-watch.ts';
import { writePrivateFile } from './private-file.ts';

export interface NodeExit {
  /** Null if it was killed, or was not our child. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningNode extends ProcessIdentity {
  readonly nodeId: string;
  readonly hostId: string;
  /** Where we reach it; a node that listens on all addresses is reached over loopback. */
  readonly host: string;
  readonly port: number;
  readonly dir: string;
  readonly logFile: string;
  /** The engine's full version. */
  readonly version: string;
  /** Resolves when the process has ended. Never rejects. */
  readonly exited: Promise<NodeExit>;
}

export interface LaunchOptions {
  /** How long the first answer may take. A node that answers that it is loading counts as started. */
  readonly startTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Recorded with the node: hosts of one machine share its directories. */
  readonly hostId?: string;
  /** A network namespace of this machine (`ip netns`) to start it in. Needs root. */
  readonly netns?: string;
}

const START_TIMEOUT_MS = 10_000;
const PING_INTERVAL_MS = 5;
const PING_TIMEOUT_MS = 500;
const LOG_TAIL_LINES = 8;

const stateSchema = z.object({
  nodeId: z.string(),
  hostId: z.string().default(LOCAL_HOST_ID),
  host: z.string(),
  port: z.number(),
  version: z.string(),
  logFile: z.string(),
});

/**
 * Starts a node and waits until it answers.
 *
 * @throws NodeError NODE_PORT_IN_USE, NODE_ALREADY_RUNNING, NODE_DIRECTORY_UNUSABLE, NODE_START_FAILED, NODE_START_TIMEOUT (both with the last
 *   lines of its log), NODE_ABORTED. No process is left behind then.
 */
export async function launchNode(
  installation: EngineInstallation,
  settings: NodeSettings,
  options: LaunchOptions = {},
): Promise<RunningNode> {
  const { dir } = settings;
  const files = nodeFiles(dir);
  const logFile = settings.logFile ?? files.log;
  const host = reachableHost(settings.bind?.[0] ?? '127.0.0.1');
  const running = findNodeProcess(dir, await readPid(files.pid));
  if (running !== undefined) {
    throw new NodeError(
      'NODE_ALREADY_RUNNING',
      `Node ${settings.nodeId} already runs as process ${running.pid}.`,
    );
  }
  await checkPortFree(settings, host);
  const { version } = installation;
  const { nodeId, port } = settings;
  const { hostId = LOCAL_HOST_ID, netns } = options;
  const state = { nodeId, hostId, host, port, version, logFile };
  const log = await prepareDirectory(settings, installation, state)
    .then(() => open(logFile, 'a', 0o600))
    .catch((cause: Error) => {
      if (cause instanceof RangeError) throw cause;
      throw new NodeError(
        'NODE_DIRECTORY_UNUSABLE',
        `The files of node ${settings.nodeId} cannot be written (${cause.message}); make room or give rights there.`,
        { cause },
      );
    });
  const logStart = (await log.stat()).size;
  const failed = async (
    code: 'NODE_START_FAILED' | 'NODE_START_TIMEOUT',
    what: string,
    cause?: unknown,
  ) => {
    const tail = await readLogTail(logFile, logStart);
    if (/Address already in use|Failed listening on port/.test(tail))
      return portInUse(settings.port, cause);
    const said = tail === '' ? '' : ` Its log ends with:\n${tail}`;
    return new NodeError(code, `Node ${settings.nodeId} ${what}.${said}`, { cause });
  };
  // `ip netns exec` becomes the engine's process: the pid, and what is known by it, stay.
  const inNamespace = netns === undefined ? [] : ['ip', 'netns', 'exec', netns];
  const [program = '', ...words] = [...inNamespace, ...installation.command, files.config];
  const child = spawn(program, words, {
    detached: true,
    cwd: dir,
    stdio: ['ignore', log.fd, log.fd],
    env: nodeEnvironment(process.env),
  });
  // Before anything is awaited: these events do not wait for their listeners.
  const exited = new Promise<NodeExit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const spawned = new Promise<Error | undefined>((resolve) => {
    child.once('spawn', () => resolve(undefined));
    child.once('error', resolve);
  });
  await log.close();
  const spawnError = await spawned;
  if (spawnError !== undefined) {
    throw await failed('NODE_START_FAILED', `could not be run (${spawnError.message})`, spawnError);
  }
  const pid = child.pid!;
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  const outcome = await waitUntilAnswering(pid, host, settings.port, exited, options);
  if (outcome === 'answering') {
    const identity = readProcess(pid);
    if (identity !== undefined) {
      // From here on the node does not keep us alive, as it does not need us to live.
      child.unref();
      return { ...state, dir, pid, startTicks: identity.startTicks, exited };
    }
    throw await failed('NODE_START_FAILED', `ended (${describeExit(await exited)})`);
  }
  await kill();
  if (outcome === 'aborted') {
    throw new NodeError('NODE_ABORTED', `The start of node ${settings.nodeId} was given up.`, {
      cause: options.signal?.reason,
    });
  }
  if (outcome === 'timeout') {
    const timeoutMs = options.startTimeoutMs ?? START_TIMEOUT_MS;
    throw await failed('NODE_START_TIMEOUT', `did not answer within ${timeoutMs} ms`);
  }
  throw await failed('NODE_START_FAILED', `ended (${describeExit(await exited)})`);
}

/**
 * Finds the node of a directory if its process lives, whoever started it.
 *
 * @returns undefined if there is none, or it is another host's
 */
export async function adoptNode(
  dir: string,
  hostId = LOCAL_HOST_ID,
): Promise<RunningNode | undefined> {
  const files = nodeFiles(dir);
  const state = await readFile(files.state, 'utf8').catch(() => undefined);
  if (state === undefined) return undefined;
  const known = stateSchema.parse(JSON.parse(state));
  if (known.hostId !== hostId) return undefined;
  const found = findNodeProcess(dir, await readPid(files.pid));
  if (found === undefined) return undefined;
  const { pid, startTicks } = found;
  const exited = watchProcess({ pid, startTicks }, known.host, known.port).then(() => ({
    code: null,
    signal: null,
  }));
  return { ...known, dir, pid, startTicks, exited };
}

export interface StopOptions {
  /** How long the node may take to end by itself: it gives its replicas time to catch up. Then it is killed. */
  readonly graceMs?: number;
}

/**
 * Ends a node: SIGTERM, which is the engine's SHUTDOWN NOSAVE here (node-config.ts), then SIGKILL. Needs no password and
 * works while the engine is busy. Returns when the process is gone, at once if it was.
 *
 * @throws NodeError NODE_STOP_FAILED if it outlives SIGKILL (in uninterruptible sleep)
 */
export async function stopNode(node: RunningNode, options: StopOptions = {}): Promise<NodeExit> {
  const graceMs = options.graceMs ?? 5000;
  if (graceMs > 0) {
    signalProcess(node, 'SIGTERM');
    const exit = await within(node.exited, graceMs);
    if (exit !== undefined) return exit;
  }
  signalProcess(node, 'SIGKILL');
  const exit = await within(node.exited, 5000);
  if (exit !== undefined) return exit;
  throw new NodeError(
    'NODE_STOP_FAILED',
    `Process ${node.pid} of node ${node.nodeId} cannot be killed.`,
  );
}

async function prepareDirectory(
  settings: NodeSettings,
  installation: EngineInstallation,
  state: z.infer<typeof stateSchema>,
): Promise<void> {
  const files = nodeFiles(settings.dir);
  await mkdir(settings.dir, { recursive: true, mode: 0o700 });
  await chmod(settings.dir, 0o700);
  await writePrivateFile(files.config, renderNodeConfig(settings, installation.line));
  await rm(files.pid, { force: true });
  await writePrivateFile(files.state, `${JSON.stringify(state)}\n`);
}

/** A node needs nothing of our environment, and LD_PRELOAD or GLIBC_TUNABLES of the machine's libc would break it. */
function nodeEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept: NodeJS.ProcessEnv = { LANG: 'C.UTF-8' };
  for (const name of ['PATH', 'HOME', 'TZ']) if (env[name] !== undefined) kept[name] = env[name];
  return kept;
}

type StartOutcome = 'answering' | 'exited' | 'timeout' | 'aborted';

async function waitUntilAnswering(
  pid: number,
  host: string,
  port: number,
  exited: Promise<NodeExit>,
  options: LaunchOptions,
): Promise<StartOutcome> {
  const deadline = performance.now() + (options.startTimeoutMs ?? START_TIMEOUT_MS);
  let ended = false;
  void exited.then(() => (ended = true));
  for (;;) {
    const leftMs = deadline - performance.now();
    // The exit goes first: another server may answer on the port that ours could not take.
    const answering = await Promise.race([
      pingNode(host, port, Math.max(1, Math.min(leftMs, PING_TIMEOUT_MS))),
      exited.then(() => false),
    ]);
    if (ended) return 'exited';
    if (answering && ownsListener(pid, port)) return 'answering';
    if (options.signal?.aborted === true) return 'aborted';
    if (leftMs <= 0) return 'timeout';
    await delay(PING_INTERVAL_MS);
  }
}

function findNodeProcess(dir: string, pid: number | undefined): ProcessIdentity | undefined {
  const { config } = nodeFiles(dir);
  if (pid !== undefined && readCommandLine(pid).includes(config)) {
    const found = readProcess(pid);
    if (found !== undefined) return found;
  }
  // Its starter may have died before the engine wrote its pid file.
  return findProcesses(config)[0];
}

async function readPid(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

async function checkPortFree(settings: NodeSettings, host: string): Promise<void> {
  const bus = clusterBusPort(settings);
  for (const port of bus === undefined ? [settings.port] : [settings.port, bus]) {
    const cause = await portTaken(host, port);
    if (cause === null) continue;
    if (cause.code === 'EADDRINUSE') throw portInUse(port, cause);
    const message = `Node ${settings.nodeId} cannot listen on ${host}:${port} (${cause.message}).`;
    throw new NodeError('NODE_START_FAILED', message, { cause });
  }
}

function portInUse(port: number, cause: unknown): NodeError {
  return new NodeError(
    'NODE_PORT_IN_USE',
    `Port ${port} is in use by another program; stop that program or choose another port.`,
    { cause },
  );
}

async function readLogTail(logFile: string, from: number): Promise<string> {
  const text = await readFile(logFile).catch(() => Buffer.alloc(0));
  const lines = text.subarray(from).toString('utf8').trimEnd().split('\n');
  return lines.slice(-LOG_TAIL_LINES).join('\n');
}

function reachableHost(bind: string): string {
  const address = bind.replace(/^-/, '');
  if (address === '*' || address === '0.0.0.0') return '127.0.0.1';
  return address === '::' || address === '::*' ? '::1' : address;
}

function describeExit(exit: NodeExit): string {
  return exit.signal === null ? `exit status ${exit.code}` : `killed by ${exit.signal}`;
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  const timer = new AbortController();
  const expired = delay(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, expired]);
  } finally {
    timer.abort();
  }
}
