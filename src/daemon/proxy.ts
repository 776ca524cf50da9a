/** Entry of a proxy process; what it does is in run-proxy.ts. */
import { keepCompiled } from './keep-compiled.ts';

await keepCompiled(() => import('./run-proxy.ts'));
