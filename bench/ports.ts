import { createServer } from 'node:net';
import { once } from 'node:events';
import { BenchError } from './bench-error.ts';

// Below Linux's ephemeral range (32768 up), so that thousands of client connections never take a port chosen here.
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;
const ATTEMPTS = 200;

/** Hands out loopback ports that were free a moment ago, each only once. */
export class PortPicker {
  readonly #given = new Set<number>();

  async pick(): Promise<number> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
      if (this.#given.has(port) || !(await isFree(port))) continue;
      this.#given.add(port);
      return port;
    }
    throw new BenchError(
      'BENCH_TARGET_FAILED',
      `no free port found from ${LOWEST_PORT} to ${HIGHEST_PORT}`,
    );
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
