/**
 * One conversation of several clients, held with a plain server and with an endpoint, and what each client heard. Replies
 * and pushes of a step are told apart: they come over different ways through a proxy, so only the order within each is
 * compared. No waiting by the clock: the plain server's part says how much there is to be heard.
 */
import { encodeRequest } from '../../src/protocol/request-encoder.ts';
import type { Argument, RawClient } from './raw-client.ts';
import type { ProxiedCache } from './proxied-cache.ts';

/** Who says what. `<a>` in an argument stands for client a's id; `|` stands between commands that are sent together. */
export type Step = readonly [client: string, ...words: Argument[]];

/** What was heard after one step, by client, as text. */
export interface Heard {
  readonly step: string;
  readonly replies: Record<string, string[]>;
  readonly pushes: Record<string, string[]>;
}

const PUSH = 62;

/** Holds the conversation with both; what the endpoint's clients heard stands second. */
export async function converse(
  cache: ProxiedCache,
  steps: readonly Step[],
): Promise<[Heard[], Heard[]]> {
  const plain = await holdWithPlain(cache, steps);
  return [plain, await holdWithEndpoint(cache, steps, plain)];
}

async function holdWithPlain(cache: ProxiedCache, steps: readonly Step[]): Promise<Heard[]> {
  const clients = await Clients.open(steps, () => cache.plainClient());
  const log: Heard[] = [];
  for (const [i, step] of steps.entries()) {
    clients.say(step);
    const heard = newHeard(step);
    for (const [name, client] of clients.all) {
      // A PING after everything: what comes before its answer belongs to the step.
      await untilAnswered(client, `mark-${i}`, (reply) => note(heard, name, reply, clients));
    }
    log.push(heard);
  }
  clients.close();
  return log;
}

async function holdWithEndpoint(
  cache: ProxiedCache,
  steps: readonly Step[],
  plain: readonly Heard[],
): Promise<Heard[]> {
  const clients = await Clients.open(steps, () => cache.client());
  const log: Heard[] = [];
  for (const [i, step] of steps.entries()) {
    clients.say(step);
    const heard = newHeard(step);
    const expected = plain[i]!;
    for (const [name, client] of clients.all) {
      const count = (expected.replies[name]?.length ?? 0) + (expected.pushes[name]?.length ?? 0);
      for (let n = 0; n < count; n++) note(heard, name, await client.next(), clients);
    }
    log.push(heard);
  }
  // Nothing more than that: a last round trip would bring it to light.
  const end = newHeard(['', 'end']);
  for (const [name, client] of clients.all) {
    await untilAnswered(client, 'the-end', (reply) => note(end, name, reply, clients));
  }
  if (Object.keys(end.replies).length + Object.keys(end.pushes).length > 0) log.push(end);
  clients.close();
  return log;
}

async function untilAnswered(
  client: RawClient,
  mark: string,
  heard: (reply: Buffer) => void,
): Promise<void> {
  client.write(encodeRequest(['PING', mark]));
  for (let reply = await client.next(); !reply.includes(mark); reply = await client.next())
    heard(reply);
}

class Clients {
  readonly all: ReadonlyMap<string, RawClient>;
  readonly #ids: ReadonlyMap<string, string>;

  private constructor(all: Map<string, RawClient>, ids: Map<string, string>) {
    this.all = all;
    this.#ids = ids;
  }

  static async open(steps: readonly Step[], connect: () => Promise<RawClient>): Promise<Clients> {
    const all = new Map<string, RawClient>();
    const ids = new Map<string, string>();
    for (const name of new Set(steps.map(([client]) => client))) {
      const client = await connect();
      all.set(name, client);
      ids.set(name, await client.text('CLIENT', 'ID'));
    }
    return new Clients(all, ids);
  }

  say([name, ...words]: Step): void {
    const args = words.map((word) =>
      typeof word === 'string'
        ? word.replaceAll(/<(\w+)>/g, (_, of: string) => this.#ids.get(of) ?? '')
        : word,
    );
    const commands: Argument[][] = [[]];
    for (const arg of args) {
      if (arg === '|') commands.push([]);
      else commands.at(-1)!.push(arg);
    }
    this.all.get(name)!.write(Buffer.concat(commands.map((command) => encodeRequest(command))));
  }

  /** The reply's text with names in the place of ids. */
  anonymous(step: string, reply: Buffer): string {
    let text = reply.toString('latin1');
    // Only where ids are spoken of: they look like any number.
    if (!/redir/i.test(step + text)) return text;
    for (const [name, id] of this.#ids) text = text.replaceAll(`:${id}\r\n`, `:<${name}>\r\n`);
    return text;
  }

  close(): void {
    for (const client of this.all.values()) client.close();
  }
}

function newHeard([client, ...words]: Step): Heard {
  return { step: `${client}: ${words.join(' ')}`, replies: {}, pushes: {} };
}

function note(heard: Heard, name: string, reply: Buffer, clients: Clients): void {
  const list = reply[0] === PUSH ? heard.pushes : heard.replies;
  // A cache's HELLO says more truly what it is than a plain server's.
  const text = heard.step.includes(': HELLO')
    ? 'the reply to HELLO'
    : clients.anonymous(heard.step, reply);
  (list[name] ??= []).push(text);
}
