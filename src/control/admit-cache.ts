/** From what a user asks for to what is written down: checks a specification and chooses ports, ids and secrets. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { ZodError } from 'zod';
import { messageOf } from '../lib/errors.ts';
import type { CacheSpec } from '../model/cache-spec.ts';
import { readSpec } from '../model/read-spec.ts';
import { DEFAULT_USER_NAME, DEFAULT_USER_RULES, type CacheUser } from '../model/user.ts';
import { ControlError } from './control-error.ts';
import { newNodeRecord } from './new-node-record.ts';
import type { Ports } from './ports.ts';
import { evenRange } from './slot-ranges.ts';
import type { CacheRecord, NodeRecord, ShardRecord } from './store-records.ts';

export interface AdmittedCache {
  readonly cache: CacheRecord;
  readonly shards: readonly ShardRecord[];
  readonly nodes: readonly NodeRecord[];
  readonly users: readonly CacheUser[];
}

/** @throws ControlError InvalidParameterValue or InvalidParameterCombination, in words about the field */
export function checkSpec(input: unknown): CacheSpec {
  const read = readSpec(input);
  if ('problems' in read) {
    const [{ field, kind, message }] = read.problems;
    throw new ControlError(
      kind === 'value' ? 'InvalidParameterValue' : 'InvalidParameterCombination',
      field === '' ? message : `${field}: ${message}`,
    );
  }
  const { spec } = read;
  if (!spec.insecure && !isLoopback(spec.bind) && spec.tls !== 'required') {
    throw new ControlError(
      'InvalidParameterCombination',
      `bind: ${spec.bind} can be reached from other machines: that needs --tls required, or --insecure where the network is trusted`,
    );
  }
  if (spec.tlsCertFile !== undefined && spec.tlsKeyFile !== undefined) {
    checkCertificate(spec.tlsCertFile, spec.tlsKeyFile);
  }
  return spec;
}

/** Looked at now: a proxy that cannot use them can only leave the endpoint closed. */
function checkCertificate(certFile: string, keyFile: string): void {
  const [cert, key] = [certFile, keyFile].map((file) => {
    if (!existsSync(file)) {
      throw new ControlError('InvalidParameterValue', `there is no file ${file}`);
    }
    try {
      return readFileSync(file);
    } catch (error) {
      throw new ControlError('InvalidParameterValue', `cannot read ${file} (${messageOf(error)})`, {
        cause: error,
      });
    }
  });
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new ControlError(
      'InvalidParameterValue',
      `${certFile} and ${keyFile} are not a certificate and its private key in PEM (${messageOf(error)})`,
      { cause: error },
    );
  }
}

/**
 * Where a new node goes.
 *
 * @param shardHosts hosts of the nodes that its shard has already
 * @param planned the nodes chosen before it
 */
export type Placement = (
  role: NodeRecord['role'],
  shardHosts: readonly string[],
  planned: readonly NodeRecord[],
) => { readonly hostId: string; readonly address: string };

/** Takes the ports; the caller releases them if it does not keep the result. */
export async function admitCache(
  spec: CacheSpec,
  ports: Ports,
  place: Placement,
  nowMs: number,
): Promise<AdmittedCache> {
  const endpoint = await ports.endpointPair(spec.port, spec.readerPort, spec.bind);
  const id = randomBytes(8).toString('hex');
  const nodes: NodeRecord[] = [];
  const shards = firstShards(id, spec);
  for (const { shard } of shards) {
    const shardHosts: string[] = [];
    for (let copy = 0; copy <= spec.replicas; copy++) {
      const role = copy === 0 ? 'primary' : 'replica';
      const { hostId, address } = place(role, shardHosts, nodes);
      shardHosts.push(hostId);
      const { port, busPort } = await ports.nodePair(address);
      nodes.push(
        newNodeRecord({
          id: `${spec.name}-${id.slice(0, 4)}-${String(shard).padStart(4, '0')}-${copy}`,
          cacheId: id,
          shard,
          role,
          port,
          busPort,
          hostId,
          engineLine: spec.engineVersion,
        }),
      );
    }
  }
  const cache: CacheRecord = {
    id,
    name: spec.name,
    spec,
    state: 'creating',
    reason: null,
    createdAtMs: nowMs,
    ...endpoint,
    systemSecret: secret(),
    virtualPrimaryId: randomBytes(20).toString('hex'),
    virtualReaderId: randomBytes(20).toString('hex'),
    engineFullVersion: null,
    formed: false,
    aclVersion: 1,
  };
  return { cache, shards, nodes, users: [firstUser(spec)] };
}

/** The shards of a cache that is not there yet: slots and memory as even as they can be. */
function firstShards(cacheId: string, spec: CacheSpec): ShardRecord[] {
  return Array.from({ length: spec.shards }, (_, shard) => ({
    cacheId,
    shard,
    state: 'serving',
    slots: spec.sharding ? [evenRange(shard, spec.shards)] : [],
    replicas: spec.replicas,
    ioThreads: 1,
    maxmemoryBytes: Math.floor(spec.limits.memoryMaximumBytes / spec.shards),
  }));
}

/**
 * The `default` user of a new cache. On loopback it is a fresh server's: everything, without a password. Where other
 * machines can reach it, it is off until somebody gives it a password.
 */
function firstUser(spec: CacheSpec): CacheUser {
  const open = isLoopback(spec.bind) || spec.insecure;
  return {
    name: DEFAULT_USER_NAME,
    enabled: open,
    nopass: open,
    passwordHashes: [],
    rules: DEFAULT_USER_RULES,
    upstreamSecret: secret(),
  };
}

export function secret(): string {
  return randomBytes(32).toString('hex');
}

export function isLoopback(bind: string): boolean {
  if (bind === 'localhost' || bind === '::1') return true;
  return isIP(bind) === 4 && bind.startsWith('127.');
}

/** One sentence about the first thing that is wrong, beginning with the field. */
export function zodSentence(error: ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'the request is not valid';
  const field = issue.path.join('.');
  return field === '' ? issue.message : `${field}: ${issue.message}`;
}
