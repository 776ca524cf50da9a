/**
 * A client beside a node: writes ever higher numbers to one key, straight to the node, until the node refuses one or does
 * not answer. A program, for it runs in the namespace of the node's host.
 *
 *   NODE_SECRET=... node direct-writer.ts ADDRESS PORT KEY   ->   one line of JSON, DirectWrites
 */
import { AdminClient, NodeReplyError } from '../../src/engine/admin-client.ts';
import { SYSTEM_USER_NAME } from '../../src/model/user.ts';

export interface DirectWrites {
  /** The last number that was acknowledged, and when (ms since the epoch). */
  readonly acknowledged: number;
  readonly acknowledgedAtMs: number;
  /** First word of the error that ended it. */
  readonly refusedWith: string;
}

const [host = '', port = '', key = ''] = process.argv.slice(2);
const client = await AdminClient.connect({
  host,
  port: Number(port),
  username: SYSTEM_USER_NAME,
  password: process.env['NODE_SECRET'] ?? '',
});
let acknowledged = 0;
let acknowledgedAtMs = 0;
let refusedWith: string | null = null;
while (refusedWith === null) {
  try {
    // A node that is stopped answers when it is woken.
    await client.callWith({ timeoutMs: 60_000 }, 'SET', key, acknowledged + 1);
    acknowledged++;
    acknowledgedAtMs = Date.now();
  } catch (error) {
    refusedWith = error instanceof NodeReplyError ? error.replyCode : String(error);
  }
}
client.close();
const writes: DirectWrites = { acknowledged, acknowledgedAtMs, refusedWith };
process.stdout.write(`${JSON.stringify(writes)}\n`);
