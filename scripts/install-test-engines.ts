/** Installs the engines that the tests run against, where they are missing: every supported line. */
import { ENGINE_LINES } from '../src/model/cache-spec.ts';
import { installEngine } from '../src/engine/catalogue.ts';

for (const line of ENGINE_LINES) {
  const engine = await installEngine(line);
  process.stdout.write(`Valkey ${line}: ${engine.version}\n`);
}
