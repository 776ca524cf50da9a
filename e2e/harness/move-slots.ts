/** Moves slots between real nodes, in the two ways that the engine has. */
import { SYSTEM_USER_NAME } from '../../src/model/user.ts';
import { itemsOf, textOf } from '../../src/protocol/resp-value.ts';
import { parseClusterNodes } from '../../src/proxy/routing/slot-view.ts';
import { SYSTEM_SECRET, type TestNode } from './node-farm.ts';
import { until } from './until.ts';

const SYSTEM = [SYSTEM_USER_NAME, SYSTEM_SECRET] as const;

/** Atomically (9.0 and newer): CLUSTER MIGRATESLOTS, until the target owns them. */
export async function migrateSlots(
  from: TestNode,
  to: TestNode,
  first: number,
  last: number,
): Promise<void> {
  const target = await to.admin.text('CLUSTER', 'MYID');
  await from.admin.expectOk('CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', first, last, 'NODE', target);
  await until(async () => ownsRange(await to.admin.text('CLUSTER', 'NODES'), first, last));
}

function ownsRange(view: string, first: number, last: number): boolean {
  const own = view.split('\n').find((line) => line.includes('myself'))!;
  return own
    .split(' ')
    .slice(8)
    .some((range) => {
      const [low, high] = range.split('-').map(Number);
      return low! <= first && (high ?? low!) >= last;
    });
}

/** One slot key by key, as before 9.0; `between` runs after each batch of keys. */
export async function moveSlotByHand(
  nodes: readonly TestNode[],
  from: TestNode,
  to: TestNode,
  slot: number,
  between: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const [source, target] = await Promise.all(
    [from, to].map((node) => node.admin.text('CLUSTER', 'MYID')),
  );
  await to.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source!);
  await from.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target!);
  await between();
  for (;;) {
    const keys = itemsOf(await from.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 4)).map((key) =>
      textOf(key)!,
    );
    if (keys.length === 0) break;
    await from.admin.expectOk(
      'MIGRATE',
      '127.0.0.1',
      to.port,
      '',
      0,
      5000,
      'AUTH2',
      ...SYSTEM,
      'KEYS',
      ...keys,
    );
    await between();
  }
  await to.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'NODE', target!);
  await from.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'NODE', target!);
  for (const node of nodes) {
    if (node !== from && node !== to)
      await node.admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', target!);
  }
  await between();
  // A node that has not heard of the last epoch would give out the same one: then an old claim can win.
  await until(() => agree(nodes));
}

/** Do all nodes have the same picture of who has which slots and epoch? */
async function agree(nodes: readonly TestNode[]): Promise<boolean> {
  const views = await Promise.all(nodes.map((node) => node.admin.text('CLUSTER', 'NODES')));
  const pictures = views.map((view) =>
    parseClusterNodes(view, '')
      .map((node) => `${node.id} ${node.epoch} ${node.slots.join(',')}`)
      .sort()
      .join('\n'),
  );
  const epochs = parseClusterNodes(views[0]!, '').map((node) => node.epoch);
  return new Set(pictures).size === 1 && new Set(epochs).size === epochs.length;
}
