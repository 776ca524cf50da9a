/**
 * Pipelines of requests, encoded before anything is measured: what is sent again and again costs the generator a write and
 * nothing else. Which slots they are for follows the weights; which key of a slot, and whether it is read or written, chance.
 */
import { randomFrom } from '../../e2e/harness/random.ts';
import { encodeRequest } from '../../src/protocol/request-encoder.ts';
import { slotKey, slotTags } from './slot-keys.ts';
import type { SlotWeights } from './slot-weights.ts';

export interface LoadMix {
  readonly weights: SlotWeights;
  readonly keysPerSlot: number;
  readonly valueBytes: number;
  /** 0..1; what is not read is written. */
  readonly readShare: number;
  /**
   * 0: GET and SET. More: scripts that read nothing and loop so often, so that the engine works for as long as it takes and
   * the generator and the proxies do not: a machine with two cores can load its nodes only so.
   */
  readonly scriptLoops: number;
  /** Requests in one write of the generator. */
  readonly pipeline: number;
  readonly seed: number;
}

/** Distinct batches: with 32 requests each, eight requests for each slot when all are alike. */
const BATCHES = 4_096;

export function batchPool(mix: LoadMix): readonly Buffer[] {
  const random = randomFrom(mix.seed);
  const tags = slotTags();
  const value = 'v'.repeat(mix.valueBytes);
  const script = mix.scriptLoops === 0 ? null : `for i=1,${mix.scriptLoops} do end return 1`;
  const slots = slotSequence(mix.weights, BATCHES * mix.pipeline, random);
  return Array.from({ length: BATCHES }, (_, batch) => {
    const requests = Array.from({ length: mix.pipeline }, (_, i) => {
      const slot = slots[batch * mix.pipeline + i]!;
      const key = slotKey(tags, slot, Math.floor(random() * mix.keysPerSlot));
      if (script !== null) return encodeRequest(['EVAL_RO', script, 1, key]);
      return encodeRequest(random() < mix.readShare ? ['GET', key] : ['SET', key, value]);
    });
    return Buffer.concat(requests);
  });
}

/** So many slots with frequencies as near to the weights as whole numbers allow, in an order of chance. */
function slotSequence(weights: SlotWeights, count: number, random: () => number): Uint16Array {
  const slots = new Uint16Array(count);
  let sum = 0;
  let at = 0;
  for (let slot = 0; slot < weights.length; slot++) {
    sum += weights[slot]!;
    const to = slot === weights.length - 1 ? count : Math.round(sum * count);
    while (at < to) slots[at++] = slot;
  }
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [slots[i], slots[j]] = [slots[j]!, slots[i]!];
  }
  return slots;
}
