/**
 * Runs one `move-slots` step in a process of its own, which a test kills as a daemon may be killed: another control plane
 * on the same directory, whose nodes it finds running. Arguments: directory, from, to, first slot, last slot.
 */
import { SmallPlane } from './small-plane.ts';

const [root, ...numbers] = process.argv.slice(2);
const [from, to, first, last] = numbers.map(Number);
const plane = await SmallPlane.open(root!);
process.stdout.write('moving\n');
await plane.move(from!, to!, first!, last!);
process.stdout.write('moved\n');
await plane.leave();
process.exit(0);
