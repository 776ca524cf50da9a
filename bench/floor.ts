/**
 * What a request costs at the least on this runtime: a bare echo server under valkey-benchmark, CPU for each request, user
 * and system apart. Nothing of Springtide is in it; what the proxy costs above it is what there is to save.
 *
 *   node bench/floor.ts [--clients 50] [--requests 150000] [--rounds 5]
 */
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, Socket, type Server } from 'node:net';
import { parseArgs } from 'node:util';
import { findEngineTools } from './engine-tools.ts';
import { median } from './summary.ts';

const PONG = Buffer.from('+PONG\r\n');

if (process.send !== undefined) serve();
else await measure();

/** Answers whatever comes, over one shared read buffer as the proxy has it; tells its CPU time when asked. */
function serve(): void {
  const buffer = Buffer.allocUnsafeSlow(64 * 1024);
  const server = createServer() as Server & { _handle: { onconnection: unknown } };
  server.listen(0, '127.0.0.1', () => {
    // The only way to give an accepted socket a read buffer (src/proxy/io/listener.ts).
    server._handle.onconnection = (_: number, handle: { setNoDelay(on: boolean): void }) => {
      const socket: Socket = new Socket({
        handle,
        onread: { buffer, callback: () => socket.write(PONG) },
      } as never);
      handle.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.resume();
    };
    process.send!((server.address() as { port: number }).port);
  });
  process.on('message', () => process.send!(process.cpuUsage()));
}

async function measure(): Promise<void> {
  const { values } = parseArgs({
    options: {
      clients: { type: 'string', default: '50' },
      requests: { type: 'string', default: '150000' },
      rounds: { type: 'string', default: '5' },
    },
  });
  const { benchmark } = await findEngineTools(() => undefined);
  const child = fork(import.meta.filename);
  const [port] = (await once(child, 'message')) as [number];
  const requests = Number(values.requests);
  const cpu = async (): Promise<NodeJS.CpuUsage> => {
    child.send('cpu');
    return ((await once(child, 'message')) as [NodeJS.CpuUsage])[0];
  };
  const rounds: { readonly user: number; readonly system: number }[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const before = await cpu();
    const load = `-h 127.0.0.1 -p ${port} -c ${values.clients} -n ${requests} -t ping_mbulk -q`;
    spawnSync(benchmark.file, [...benchmark.args, ...load.split(' ')], { stdio: 'ignore' });
    const after = await cpu();
    rounds.push({
      user: (after.user - before.user) / requests,
      system: (after.system - before.system) / requests,
    });
  }
  child.kill();
  const show = (of: (round: (typeof rounds)[number]) => number) =>
    median(rounds.map(of)).toFixed(2);
  process.stdout.write(
    `${values.clients} clients, medians of ${values.rounds} rounds, us of CPU a request: ` +
      `user ${show(({ user }) => user)}, system ${show(({ system }) => system)}, ` +
      `both ${show(({ user, system }) => user + system)}\n`,
  );
}
