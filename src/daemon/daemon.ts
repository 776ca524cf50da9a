/** Entry of the daemon's process; what it does is in run-daemon.ts. */
import { keepCompiled } from './keep-compiled.ts';

await keepCompiled(() => import('./run-daemon.ts'));
