/** What a node finds on disk when it starts, as control prepares it; the engine itself and its host write the rest. */
import type { SlotRange } from '../model/slot-range.ts';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { FUNCTIONS_FILE, functionsRdb } from '../engine/functions-rdb.ts';
import { makeHeir } from '../engine/heir-config.ts';

export class NodeFiles {
  readonly #nodesDir: string;
  readonly #log: Logger;

  constructor(nodesDir: string, log: Logger) {
    this.#nodesDir = nodesDir;
    this.#log = log;
  }

  dirOf(nodeId: string): string {
    return join(this.#nodesDir, nodeId);
  }

  /**
   * Has a node that does not run start as the heir of its own slots (engine/heir-config.ts), where that can be.
   *
   * @param keep of the slots that the node had, the ones that it may have again
   * @returns the slots to give it after its takeover; none when it starts as it is
   */
  makeHeir(nodeId: string, keep: Parameters<typeof makeHeir>[1]): readonly SlotRange[] {
    const path = join(this.dirOf(nodeId), 'nodes.conf');
    try {
      const heir = makeHeir(readFileSync(path, 'utf8'), keep);
      if (heir === null) return [];
      writeFileSync(`${path}.new`, heir.text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
      return heir.slots;
    } catch (error) {
      // It starts as it is then, and takes writes two seconds later.
      this.#log.warn({ node: nodeId, err: error }, 'nodes.conf cannot be prepared');
      return [];
    }
  }

  /** Throws away what a node knows of its cluster, so that it starts as a stranger. */
  forgetIdentity(nodeId: string): void {
    for (const name of ['nodes.conf', 'nodes.conf.lock']) {
      rmSync(join(this.dirOf(nodeId), name), { force: true });
    }
  }

  /** Writes the access rules the node will have when it is started (again). */
  writeAcl(nodeId: string, lines: readonly string[]): void {
    const dir = this.dirOf(nodeId);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const path = join(dir, 'users.acl');
    writeFileSync(`${path}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  /**
   * Lays out function libraries for the node's next start, or clears away what was.
   *
   * @returns whether the node will find them when it starts
   */
  writeFunctions(nodeId: string, functions: Uint8Array | null): boolean {
    const path = join(this.dirOf(nodeId), FUNCTIONS_FILE);
    const rdb = functions === null ? null : functionsRdb(functions);
    try {
      rmSync(path, { force: true });
      if (rdb === null) return false;
      writeFileSync(path, rdb, { mode: 0o600 });
      return true;
    } catch (error) {
      this.#log.warn(
        { node: nodeId, err: error },
        'the functions cannot be laid out for its start',
      );
      rmSync(path, { force: true });
      return false;
    }
  }
}
