/** Entry of a proxy process: `proxy.ts --data-dir DIR --index N --proxies COUNT`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { dataDirPaths } from '../model/data-dir.ts';
import { allHandlers } from '../proxy/handlers/all.ts';
import { Proxy } from '../proxy/proxy.ts';
import { SessionCommands } from '../proxy/session-commands.ts';
import { LogFile } from './log-file.ts';

/** How long replies under way may take when the process is told to go. */
const DRAIN_MS = 2000;

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    index: { type: 'string', default: '0' },
    proxies: { type: 'string', default: '1' },
    'log-level': { type: 'string', default: 'info' },
  },
});
const dataDir = values['data-dir'];
if (dataDir === undefined) {
  process.stderr.write('proxy: --data-dir is required\n');
  process.exit(2);
}
const paths = dataDirPaths(dataDir);
const ownDir = join(paths.proxies, values.index);
mkdirSync(ownDir, { recursive: true, mode: 0o700 });
mkdirSync(paths.run, { recursive: true, mode: 0o700 });

const log = pino(
  { level: values['log-level'], base: { process: `proxy-${values.index}` } },
  // Standard output is its log file, and a full disk must not end the process.
  new LogFile(1),
);
try {
  writeFileSync(join(ownDir, 'pid'), String(process.pid));
} catch (error) {
  // It serves without; only a daemon that starts later does not find it, and says that a port is taken.
  log.error({ err: error }, 'the pid file cannot be written');
}
const proxy = new Proxy(
  {
    index: Number(values.index),
    proxies: Number(values.proxies),
    controlSocket: paths.controlSocket,
    topologyFile: join(ownDir, 'topology.json'),
    peerSocket: paths.proxySocket,
    log,
  },
  new SessionCommands(allHandlers),
);

const stop = () => void proxy.drain(DRAIN_MS).then(() => process.exit(0));
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.on('uncaughtException', (error) => {
  // A broken invariant: this process's state is not to be trusted. The supervisor starts another within a second.
  log.fatal({ err: error }, 'uncaught exception');
  process.exit(70);
});
// For the next one, should this one be killed; before the first client comes, and nothing but after the first start.
flushCompileCache();
