/** The nodes of the warm pool. Taken in one transaction with the node that it becomes. */
import type { StateFile } from './state-file.ts';
import { toWarmNode, type WarmNodeRecord } from './store-records.ts';

export class WarmTable {
  readonly #file: StateFile;

  constructor(file: StateFile) {
    this.#file = file;
  }

  insert(node: WarmNodeRecord): void {
    this.#file.run(
      'INSERT INTO warm_nodes VALUES (?, ?, ?, ?, ?, ?)',
      node.id,
      node.hostId,
      node.engineLine,
      node.databases,
      node.port,
      node.busPort,
    );
  }

  all(): WarmNodeRecord[] {
    return this.#file.all('SELECT * FROM warm_nodes ORDER BY id').map(toWarmNode);
  }

  has(id: string): boolean {
    return this.#file.one('SELECT 1 FROM warm_nodes WHERE id = ?', id) !== undefined;
  }

  delete(id: string): void {
    this.#file.run('DELETE FROM warm_nodes WHERE id = ?', id);
  }
}
