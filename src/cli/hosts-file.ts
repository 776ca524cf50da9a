/**
 * The file of `up --hosts`, looked at before a daemon starts with it: what is wrong in it is told at once, in words, and a host
 * that is not on this machine too, of which a daemon could only say later that nothing starts there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { messageOf } from '../lib/errors.ts';
import { readHosts, type HostSpec } from '../model/host-spec.ts';
import { CliError } from './cli-error.ts';

const NAMESPACES = '/run/netns';

/** @throws CliError USAGE that names the file and what is wrong in it */
export function requireHostsFile(path: string): void {
  let hosts: readonly HostSpec[];
  try {
    hosts = readHosts(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CliError('USAGE', `The hosts file ${path} is wrong (${messageOf(error)}).`, {
      hint: 'What it looks like: docs/operations.md, "Hosts and zones".',
      cause: error,
    });
  }
  for (const host of hosts) {
    const missing = whatIsMissing(host);
    if (missing !== null)
      throw new CliError('USAGE', `The hosts file ${path} is wrong (host ${host.id}: ${missing}).`);
  }
}

function whatIsMissing({ address, netns }: HostSpec): string | null {
  if (netns !== undefined) {
    return existsSync(`${NAMESPACES}/${netns}`)
      ? null
      : `this machine has no network namespace ${netns}`;
  }
  // All of 127.0.0.0/8 is this machine, whatever its interfaces name.
  if (isIPv4(address) && address.startsWith('127.')) return null;
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return own.some((each) => each.address === address)
    ? null
    : `${address} is no address of this machine`;
}
