/** The engines on this machine, as the API shows them and caches use them. */
import {
  findEngine,
  installEngine,
  listEngines,
  removeEngine,
  type EngineInstallation,
} from '../engine/catalogue.ts';
import type { EngineStatus, Progress } from '../model/admin-api.ts';
import { ENGINE_LINES, type EngineLine } from '../model/cache-spec.ts';
import { ControlError } from './control-error.ts';
import type { Store } from './store.ts';

export interface EnginesOptions {
  readonly engineDir: string;
  /** A valkey-server of the user's. */
  readonly binary?: string;
}

export class Engines {
  readonly #options: EnginesOptions;
  readonly #store: Store;
  readonly #installing = new Set<string>();

  constructor(options: EnginesOptions, store: Store) {
    this.#options = options;
    this.#store = store;
  }

  /** @throws EngineError ENGINE_NOT_INSTALLED and others, whose message says what to do */
  find(line: EngineLine): Promise<EngineInstallation> {
    return findEngine(line, this.#options);
  }

  async list(): Promise<EngineStatus[]> {
    return (await listEngines(this.#options)).map((listing) => {
      const [first] = listing.installations;
      return {
        engine: listing.engine,
        line: listing.line,
        version: first?.version ?? null,
        installed: first !== undefined,
        source: sourceOf(first?.source, listing.suite),
        cli: first?.tools.cli ?? null,
        usedBy: this.#usedBy(listing.line),
      };
    });
  }

  async install(line: string, report: (progress: Progress) => void): Promise<void> {
    const known = checkLine(line);
    if (this.#installing.has(known)) {
      throw new ControlError(
        'InvalidParameterValue',
        `Valkey ${known} is being installed already: wait for that to end`,
      );
    }
    this.#installing.add(known);
    try {
      await installEngine(known, {
        engineDir: this.#options.engineDir,
        onProgress: (fraction, step) => report({ type: 'progress', step, fraction }),
      });
    } finally {
      this.#installing.delete(known);
    }
  }

  /** @throws ControlError InvalidParameterCombination while a cache uses it, InvalidParameterValue if there is none */
  async remove(line: string): Promise<void> {
    const known = checkLine(line);
    const usedBy = this.#usedBy(known);
    if (usedBy.length > 0) {
      throw new ControlError(
        'InvalidParameterCombination',
        `Valkey ${known} is used by ${usedBy.join(', ')}`,
      );
    }
    if (!(await removeEngine(known, this.#options))) {
      throw new ControlError(
        'InvalidParameterValue',
        `Valkey ${known} is not installed by Springtide`,
      );
    }
  }

  #usedBy(line: string): string[] {
    return this.#store
      .caches()
      .filter(
        (cache) =>
          cache.spec.engineVersion === line ||
          this.#store.nodes(cache.id).some((node) => node.engineLine === line),
      )
      .map((cache) => cache.name);
  }
}

function sourceOf(source: EngineInstallation['source'] | undefined, suite: string): string {
  if (source === 'explicit') return 'option';
  return source === 'path' ? 'path' : suite;
}

function checkLine(line: string): EngineLine {
  const known = ENGINE_LINES.find((candidate) => candidate === line);
  if (known === undefined) {
    throw new ControlError(
      'InvalidParameterValue',
      `there is no engine line ${line}; there are ${ENGINE_LINES.join(', ')}`,
    );
  }
  return known;
}
