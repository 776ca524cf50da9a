/** The machines that a data directory's nodes run on, as `springtide up --hosts FILE` names them: a JSON array. */
import { isIP } from 'node:net';
import { z } from 'zod';

const hostSpecSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be letters a to z, digits and hyphens'),
  /** Hosts of one zone may be lost together: the copies of a shard are spread over zones. */
  zone: z
    .string()
    .regex(/^[\w.-]{1,40}$/, 'must be letters, digits, dots, hyphens and underscores'),
  /** The address that its nodes listen on, and at which all others and the proxies reach them. */
  address: z.string().refine((text) => isIP(text) !== 0, 'must be an IP address'),
  /** A network namespace of this machine (`ip netns`) that stands for another one. Needs root. */
  netns: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'must be the name of a network namespace')
    .optional(),
  /** What its nodes may use in all; default: what the machine has. */
  cores: z.int().min(1).optional(),
  memoryBytes: z.int().min(1).optional(),
});

export type HostSpec = z.infer<typeof hostSpecSchema>;

const hostsSchema = z
  .array(hostSpecSchema)
  .min(1, 'there must be one at least')
  .refine((hosts) => new Set(hosts.map(({ id }) => id)).size === hosts.length, 'ids must differ');

/** One host: this machine. */
export const THIS_MACHINE: HostSpec = { id: 'local', zone: 'local', address: '127.0.0.1' };

/**
 * Reads a hosts file.
 *
 * @throws RangeError in one sentence, beginning with the place in the file
 */
export function readHosts(text: string): [HostSpec, ...HostSpec[]] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new RangeError(`it is no JSON (${(error as Error).message})`, { cause: error });
  }
  const read = hostsSchema.safeParse(json);
  if (read.success) return read.data as [HostSpec, ...HostSpec[]];
  const { path, message } = read.error.issues[0]!;
  throw new RangeError(path.length === 0 ? message : `${path.join('.')}: ${message}`);
}
