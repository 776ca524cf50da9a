/**
 * What the shards have noted, in one list: SLOWLOG, COMMANDLOG, LATENCY. In the nodes' logs a client's address is the
 * proxy's, since it is the proxy that is connected to them (docs/commands.md).
 */
import {
  encodeReply,
  entriesOf,
  itemsOf,
  RespError,
  RespMap,
  RespVerbatim,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import { askShards } from '../ask-shards.ts';
import type { Session } from '../session.ts';
import type { Call, CommandHandler, HandlerTable } from '../command-handler.ts';
import { firstError } from '../split.ts';

export const shardLogHandlers: HandlerTable = {
  'slowlog|get': merged((answers, words) => newestFirst(answers, words[2] ?? '10')),
  'commandlog|get': merged((answers, words) => newestFirst(answers, words[2]!)),
  'latency|latest': merged(latestEvents),
  'latency|history': merged(history),
  'latency|histogram': merged(histograms),
  'latency|doctor': merged(shardTexts),
  'latency|graph': merged(shardTexts, 'some'),
  'memory|doctor': merged(shardTexts),
  'memory|malloc-stats': merged(shardTexts),
};

type Merge = (answers: readonly RespValue[], words: readonly string[]) => RespValue;

/** Asks all shards and puts the answers together; `some`: shards that answer with an error are left out. */
export function merged(merge: Merge, need: 'all' | 'some' = 'all'): CommandHandler {
  return async (session: Session, call: Call): Promise<Buffer> => {
    const args = call.args.map((arg) => Buffer.from(arg));
    const answers = await askShards(session, args);
    const good = answers.filter((answer) => !(answer instanceof RespError));
    const error = firstError(answers);
    const failed = error !== null && (need === 'all' || good.length === 0);
    const words = args.map((arg) => arg.toString());
    return encodeReply(failed ? error : merge(good, words), session.client.resp);
  };
}

/** Entries [id, time in seconds, ...]; ids are each node's own. COUNT -1: all. */
function newestFirst(answers: readonly RespValue[], count: string): RespValue {
  const entries = answers.flatMap((answer) => itemsOf(answer));
  entries.sort((a, b) => numberAt(b, 1) - numberAt(a, 1) || numberAt(b, 0) - numberAt(a, 0));
  return Number(count) < 0 ? entries : entries.slice(0, Number(count));
}

/** [event, time, latest, maximum] and since 8.1 [..., sum, count]: the newest time's latest, the maxima, the sums. */
function latestEvents(answers: readonly RespValue[]): RespValue {
  const events = new Map<string, RespValue[]>();
  for (const row of answers.flatMap((answer) => itemsOf(answer))) {
    const name = textOf(itemsOf(row)[0])!;
    const known = events.get(name);
    const columns = [...itemsOf(row)];
    if (known === undefined) {
      events.set(name, columns);
      continue;
    }
    const [older, newer] =
      numberAt(known, 1) > numberAt(columns, 1) ? [columns, known] : [known, columns];
    events.set(
      name,
      newer.map((value, i): RespValue => {
        if (i <= 2) return value;
        const [a, b] = [Number(value), numberAt(older, i)];
        return i === 3 ? Math.max(a, b) : a + b;
      }),
    );
  }
  return [...events.values()];
}

/** latency.h, LATENCY_TS_LEN. */
const SAMPLES_MAXIMUM = 160;

/** Samples [time, milliseconds], one for each second: the worst of the shards. */
export function history(answers: readonly RespValue[]): RespValue {
  const samples = new Map<number, number>();
  for (const sample of answers.flatMap((answer) => itemsOf(answer))) {
    const time = numberAt(sample, 0);
    samples.set(time, Math.max(samples.get(time) ?? 0, numberAt(sample, 1)));
  }
  return [...samples].sort(([a], [b]) => a - b).slice(-SAMPLES_MAXIMUM);
}

/** {command: {calls, histogram_usec: {bucket: calls up to it}}}: the counts are cumulative, buckets without calls absent. */
export function histograms(answers: readonly RespValue[]): RespValue {
  const commands = new Map<string, { calls: number; buckets: Map<number, number> }>();
  for (const [name, value] of answers.flatMap((answer) => entriesOf(answer))) {
    const fields = new Map(entriesOf(value));
    const merged = commands.get(name) ?? { calls: 0, buckets: new Map<number, number>() };
    merged.calls += Number(fields.get('calls'));
    let before = 0;
    for (const [bucket, upTo] of entriesOf(fields.get('histogram_usec'))) {
      const own = Number(upTo) - before;
      before = Number(upTo);
      merged.buckets.set(Number(bucket), (merged.buckets.get(Number(bucket)) ?? 0) + own);
    }
    commands.set(name, merged);
  }
  return new RespMap(
    [...commands].map(([name, { calls, buckets }]): [RespValue, RespValue] => {
      let total = 0;
      const cumulative = [...buckets]
        .sort(([a], [b]) => a - b)
        .map(([bucket, own]): [RespValue, RespValue] => [bucket, (total += own)]);
      return [name, RespMap.of({ calls, histogram_usec: new RespMap(cumulative) })];
    }),
  );
}

/** Texts for people: all shards' where they differ. */
function shardTexts(answers: readonly RespValue[]): RespValue {
  const texts = answers.map((answer) => textOf(answer) ?? '');
  const text =
    new Set(texts).size === 1
      ? texts[0]!
      : texts
          .map((each, i) => `Shard ${i + 1} of ${texts.length}:\n${each.trimEnd()}\n`)
          .join('\n');
  return new RespVerbatim('txt', text);
}

function numberAt(row: RespValue, index: number): number {
  return Number(textOf(itemsOf(row)[index]) ?? 0);
}
