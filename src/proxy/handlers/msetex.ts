/**
 * MSETEX in a sharded cache. A 9.1 node takes it whichever slots its keys are in, owned or not: sent to a node that has just
 * given the slot away, the write would be lost without a word. So it goes in a transaction behind a command that the node
 * does check, and keys in several slots are refused as the engine refuses them elsewhere.
 */
import { hashSlot } from '../../protocol/hash-slot.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { decodeReply, encodeReply, itemsOf, RespError } from '../../protocol/resp-value.ts';
import { ecpuOf } from '../ecpu-metering.ts';
import { CROSS_SLOT } from '../proxy-error.ts';
import type { Call, HandlerTable } from '../command-handler.ts';
import type { Session } from '../session.ts';

/** Drained: it goes on its own, and an older command for one of its keys may still wait for another try. */
export const msetexHandlers: HandlerTable = { msetex: { run: msetex, drained: true } };

const MULTI = encodeRequest(['MULTI']);
const EXEC = encodeRequest(['EXEC']);
/** Replies before EXEC's: MULTI's and two QUEUEDs. */
const PRECEDING = 3;

async function msetex(session: Session, { planned, args, bytes }: Call): Promise<Buffer> {
  const count = Number(args[1]!.toString('latin1'));
  const keys = Number.isInteger(count)
    ? args.slice(2).filter((_, i) => i % 2 === 0 && i < count * 2)
    : [];
  const slots = new Set(keys.map((key) => hashSlot(key, 0, key.length)));
  if (slots.size > 1) return CROSS_SLOT;
  const [slot] = slots;
  const { router } = session.service;
  const lane = session.lane!;
  // Without a key it is not written anywhere: the engine says what is wrong with it.
  if (slot === undefined) return router.askBytes(Buffer.from(bytes), { lane, repeatable: false });
  const batch = Buffer.concat([MULTI, encodeRequest(['EXISTS', ...keys]), bytes, EXEC]);
  const reply = await router.askBytes(batch, {
    lane,
    slot,
    alone: session.goesAlone(batch.length),
    preceding: PRECEDING,
    repeatable: false,
  });
  const ecpu = ecpuOf(planned.weight, bytes.length);
  router.heat.countSlot(slot, ecpu, bytes.length, reply.length);
  const value = decodeReply(reply);
  if (value instanceof RespError) return reply;
  return encodeReply(itemsOf(value)[1]!, session.client.resp);
}
