/** Cluster-aware clients straight on the nodes: the baseline of every ratio. */
import { BASELINE } from '../sample.ts';
import { formCluster, startNodes } from './nodes.ts';
import type { Target, TargetContext } from './target.ts';

export async function startDirect(context: TargetContext): Promise<Target> {
  const nodes = await startNodes(context, 'direct', context.shards, { cluster: true, tls: true });
  await formCluster(context, nodes);
  return {
    name: BASELINE,
    label: 'direct cluster',
    version: context.valkeyVersion,
    plain: nodes[0]!.plain,
    tls: nodes[0]!.tls,
    cluster: true,
    nodes: nodes.map((node) => node.plain),
    descriptorsPerClient: 1,
    pids: () => ({ proxy: [], node: nodes.map((node) => node.pid), other: [] }),
  };
}
