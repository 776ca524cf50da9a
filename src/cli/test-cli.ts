/** For tests: the real command as a process, and the API in memory that it speaks to. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { FakeApiServer } from './fake-api-server.ts';
import { runCli, type CliResult, type RunOptions } from './run-cli.ts';

export interface TestCli {
  readonly fake: FakeApiServer;
  /** Runs a command line, split at its spaces, with the fake's data directory. */
  readonly cli: (args: string, options?: RunOptions) => Promise<CliResult>;
}

/** Both end with the test. */
export async function startCli(t: TestContext): Promise<TestCli> {
  const fake = await FakeApiServer.start();
  t.after(() => fake[Symbol.asyncDispose]());
  const cli = (args: string, options: RunOptions = {}) =>
    runCli([...args.split(' '), '--data-dir', fake.dataDir], options);
  return { fake, cli };
}

/** A directory that goes with the test. */
export function emptyDir(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-empty-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
