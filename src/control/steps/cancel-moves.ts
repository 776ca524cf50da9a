/** Ends the moves of a cache's slots that are under way, whoever began them. */
import { allPrimaries } from './move-ends.ts';
import { mendSlots } from './mend-slots.ts';
import { cancelExports } from './migrate-slots.ts';
import type { SlotMoveContext } from './slot-move-context.ts';

/**
 * What moves in one piece is undone by the engine; what moves by keys is undone where no key has arrived, else brought to
 * its end. No `move-slots` step of the cache may run meanwhile: it would begin again.
 */
export async function cancelMoves(context: SlotMoveContext): Promise<void> {
  await Promise.all(
    (await allPrimaries(context)).map(async (primary) => {
      try {
        await cancelExports(context, primary);
      } catch (error) {
        // 8.x knows no such thing.
        context.log.info({ node: primary.nodeId, err: error }, 'nothing to cancel here');
      }
    }),
  );
  await mendSlots(context);
}
