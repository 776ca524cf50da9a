import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

/** Runs a module in a process that may have 100 files open; what it prints. */
function withFewFiles(source: string): string {
  const shell = 'ulimit -n 100; exec "$0" --input-type=module-typescript -e "$1"';
  const options = { cwd: import.meta.dirname, encoding: 'utf8' } as const;
  return execFileSync('sh', ['-c', shell, process.execPath, source], options).trim();
}

describe('limit of open files', () => {
  it('leaves clients all but what the process needs', () => {
    const source = `
      import { clientDescriptors } from './descriptor-limit.ts';
      console.log(clientDescriptors());`;
    assert.equal(withFewFiles(source), '52');
  });

  it('when it is reached, the report of usage does not end the process', () => {
    const dir = mkdtempSync(join(tmpdir(), 'springtide-descriptors-'));
    const source = `
      import { openSync } from 'node:fs';
      import { pino } from 'pino';
      import { Proxy } from './proxy.ts';
      import { SessionCommands } from './session-commands.ts';
      const at = (name) => ${JSON.stringify(dir)} + '/' + name;
      const options = { index: 0, proxies: 1, controlSocket: at('c'), topologyFile: at('t') };
      const log = pino({ level: 'silent' });
      const proxy = new Proxy({ ...options, log }, new SessionCommands({}));
      const known = proxy.usage().memoryBytes;
      try {
        for (;;) openSync('/dev/null');
      } catch {}
      console.log(known > 0 && proxy.usage().memoryBytes === known);
      process.exit(0);`;
    assert.equal(withFewFiles(source), 'true');
    rmSync(dir, { recursive: true });
  });
});
