/** One plain node, its clients straight on it: what haproxy stands before. */
import { startNodes } from './nodes.ts';
import type { Target, TargetContext } from './target.ts';

export async function startSingle(context: TargetContext): Promise<Target> {
  const [node] = await startNodes(context, 'single', 1, { cluster: false, tls: true });
  return {
    name: 'single',
    label: 'direct, one node',
    version: context.valkeyVersion,
    plain: node!.plain,
    tls: node!.tls,
    cluster: false,
    nodes: [node!.plain],
    descriptorsPerClient: 1,
    pids: () => ({ proxy: [], node: [node!.pid], other: [] }),
  };
}
