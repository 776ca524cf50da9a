/** Every handler of the proxy, by command name. */
import type { HandlerTable } from '../command-handler.ts';
import { aclHandlers } from './acl.ts';
import { aclLogHandlers } from './acl-log.ts';
import { clientHandlers } from './client.ts';
import { clusterHandlers } from './cluster.ts';
import { connectionHandlers } from './connection.ts';
import { infoHandlers } from './info.ts';
import { monitorHandlers } from './monitor.ts';
import { msetexHandlers } from './msetex.ts';
import { publishHandlers } from './publish.ts';
import { pubsubHandlers } from './pubsub.ts';
import { scanHandlers } from './scan.ts';
import { pubsubCountHandlers } from './pubsub-counts.ts';
import { trackingHandlers } from './tracking.ts';
import { keyspaceHandlers } from './keyspace.ts';
import { shardLogHandlers } from './shard-logs.ts';
import { transactionHandlers } from './transaction.ts';
import { waitHandlers } from './wait.ts';

export const allHandlers: HandlerTable = {
  ...connectionHandlers,
  ...transactionHandlers,
  ...clusterHandlers,
  ...clientHandlers,
  ...infoHandlers,
  ...scanHandlers,
  ...keyspaceHandlers,
  ...shardLogHandlers,
  ...waitHandlers,
  ...aclHandlers,
  ...aclLogHandlers,
  ...monitorHandlers,
  ...msetexHandlers,
  ...pubsubHandlers,
  ...trackingHandlers,
  ...publishHandlers,
  ...pubsubCountHandlers,
};
