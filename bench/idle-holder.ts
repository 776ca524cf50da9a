/**
 * A process of its own that holds idle connections: `node idle-holder.ts '{"addresses":[...],"connections":N}'`.
 * Each connection sends one PING and one GET and then stays silent. Prints `held N` when all have their replies, or
 * `lost TEXT` and ends with 1 when one is refused or cut. Ends when its standard input does.
 */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

interface HolderOrder {
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  readonly connections: number;
  readonly password?: string;
  readonly username?: string;
}

// Connections opened at the same time: well below any listen backlog.
const OPENING_AT_ONCE = 100;

const order = JSON.parse(process.argv[2] ?? '{}') as HolderOrder;
const sockets: Socket[] = [];

function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

async function open(index: number): Promise<void> {
  const { host, port } = order.addresses[index % order.addresses.length]!;
  const socket = connect({ host, port, noDelay: true });
  sockets.push(socket);
  await once(socket, 'connect');
  if (order.password !== undefined) {
    const auth =
      order.username === undefined
        ? ['AUTH', order.password]
        : ['AUTH', order.username, order.password];
    await ask(socket, command(...auth));
  }
  await ask(socket, command('PING'));
  await ask(socket, command('GET', `key:${String(index).padStart(12, '0')}`));
  socket.once('close', () => fail('a connection was closed by the other side'));
}

/** Any reply will do: a node of a cluster may answer MOVED. Replies here fit one packet. */
async function ask(socket: Socket, request: string): Promise<void> {
  socket.write(request);
  await once(socket, 'data');
}

function fail(reason: string): never {
  process.stdout.write(`lost ${reason}\n`);
  process.exit(1);
}

process.stdin.resume().once('end', () => process.exit(0));
try {
  for (let from = 0; from < order.connections; from += OPENING_AT_ONCE) {
    const to = Math.min(from + OPENING_AT_ONCE, order.connections);
    await Promise.all(Array.from({ length: to - from }, (_, offset) => open(from + offset)));
  }
} catch (error) {
  fail(`connection ${sockets.length} of ${order.connections}: ${String(error)}`);
}
process.stdout.write(`held ${order.connections}\n`);
