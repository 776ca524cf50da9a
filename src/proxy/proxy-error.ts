/** Error replies of the proxy itself, in the engine's words where it has them. Encoded once: they are values, not exceptions. */

/**
 * The reply bytes of an error; `text` without the `-`. Line breaks, which would end the reply early, become spaces. Text that
 * quotes a client's bytes is read and written as latin1, so that they come back as they were.
 */
export function errorReply(text: string, encoding: 'utf8' | 'latin1' = 'utf8'): Buffer {
  return Buffer.from(`-${text.replaceAll(/[\r\n]/g, ' ')}\r\n`, encoding);
}

export const OK_REPLY = Buffer.from('+OK\r\n');
export const PONG_REPLY = Buffer.from('+PONG\r\n');
export const QUEUED_REPLY = Buffer.from('+QUEUED\r\n');
export const RESET_REPLY = Buffer.from('+RESET\r\n');

/** The connection to the node died after the command was sent: it may or may not have been executed. Not retried. */
export const IN_DOUBT = errorReply(
  'INDOUBT The connection to the node was lost after the command was sent; it may or may not have been executed',
);
/** No node could take the command before the cache's deadline. It was not executed. */
export const CLUSTER_DOWN = errorReply('CLUSTERDOWN The cluster is down');
export const NO_AUTH = errorReply('NOAUTH Authentication required.');
export const CROSS_SLOT = errorReply("CROSSSLOT Keys in request don't hash to the same slot");
export const SYNTAX_ERROR = errorReply('ERR syntax error');

/** The cache is at its request limit, and would be for longer than its deadline. It was not executed; clients try again. */
export function overLimit(ecpuPerSecondMaximum: number): Buffer {
  return errorReply(
    `TRYAGAIN The request limit of this cache, ${ecpuPerSecondMaximum} ECPU per second, is exceeded`,
  );
}

/** The engine's words for a user without permission, which is what a refused command is to everybody. */
export function noPermission(user: string, command: string): Buffer {
  return errorReply(`NOPERM User ${user} has no permissions to run the '${command}' command`);
}

export function wrongArity(command: string): Buffer {
  return errorReply(`ERR wrong number of arguments for '${command}' command`);
}
