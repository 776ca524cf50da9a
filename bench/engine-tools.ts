import { findEngine, installEngine } from '../src/engine/catalogue.ts';
import { BenchError } from './bench-error.ts';
import type { Invocation } from './processes.ts';

/** The Valkey that is measured with, and that the peers stand on. */
export interface EngineTools {
  readonly version: string;
  readonly server: Invocation;
  readonly benchmark: Invocation;
}

/**
 * The catalogue's default engine, installed if it is not there.
 * @param onInstall called once before a download begins
 */
export async function findEngineTools(onInstall: () => void): Promise<EngineTools> {
  const engine = await findEngine(undefined).catch(async (error: unknown) => {
    if ((error as { code?: unknown }).code !== 'ENGINE_NOT_INSTALLED') throw error;
    onInstall();
    return await installEngine('9.1');
  });
  const { benchmark } = engine.tools;
  if (benchmark === undefined) {
    throw new BenchError(
      'BENCH_TOOL_MISSING',
      `there is no valkey-benchmark beside ${engine.binary}; put it there (Debian's package valkey-tools)`,
    );
  }
  return {
    version: engine.version,
    server: invocation(engine.command),
    benchmark: invocation(benchmark),
  };
}

function invocation(command: readonly string[]): Invocation {
  const [file, ...args] = command;
  return { file: file!, args };
}
