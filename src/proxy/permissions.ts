/**
 * May this user run a command that the proxy answers itself? Forwarded ones are checked by the engine; for these it is
 * asked (`ACL DRYRUN`), once for each user and command, until the users change. Commands with keys or channels are not
 * asked about here: they reach a node as the user in any case.
 */
import type { CacheUser } from '../model/user.ts';
import { FLAG_NO_AUTH, FLAG_PUBSUB, type Command } from '../protocol/command-table.ts';
import { encodeReply, RespError, textOf, type RespValue } from '../protocol/resp-value.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import { errorReply } from './proxy-error.ts';

/** Null: allowed. A buffer: the engine's refusal. */
export type Verdict = Buffer | null;

const VERDICTS_MAXIMUM = 10_000;
/** A question that could not be asked is not asked again for this long. */
const FAILURE_MS = 100;

export class Permissions {
  readonly #router: CacheRouter;
  #verdicts = new Map<string, Verdict>();
  #asking = new Map<string, Promise<void>>();
  #open = new Map<CacheUser, boolean>();

  constructor(router: CacheRouter) {
    this.#router = router;
  }

  /** The users have changed: what was answered holds no more. */
  forget(): void {
    this.#verdicts = new Map();
    this.#asking = new Map();
    this.#open = new Map();
  }

  /** Whether it is certain already that the user may: nothing to ask. */
  isFree(user: CacheUser | undefined, command: Command): boolean {
    if ((command.flags & (FLAG_NO_AUTH | FLAG_PUBSUB)) !== 0 || user === undefined) return true;
    if (command.keySpecs.length > 0) return true;
    let open = this.#open.get(user);
    if (open === undefined) {
      open = mayEverything(user.rules);
      this.#open.set(user, open);
    }
    return open;
  }

  /** The verdict; undefined when the engine has not been asked yet (`ask`). */
  verdict(
    user: CacheUser,
    database: number,
    command: Command,
    words: readonly string[],
  ): Verdict | undefined {
    return this.#verdicts.get(keyOf(user, database, command, words));
  }

  /** Asks the engine; afterwards `verdict` knows. `words`: the request, its arity right. */
  ask(
    user: CacheUser,
    database: number,
    command: Command,
    words: readonly string[],
  ): Promise<void> {
    const key = keyOf(user, database, command, words);
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#ask(user, database, words, key);
      this.#asking.set(key, asking);
    }
    return asking;
  }

  async #ask(
    user: CacheUser,
    database: number,
    words: readonly string[],
    key: string,
  ): Promise<void> {
    const verdicts = this.#verdicts;
    const { systemLane } = this.#router;
    const lane =
      database === 0 ? systemLane : this.#router.connections.lane({ ...systemLane.kind, database });
    const answer = await this.#router.ask(['ACL', 'DRYRUN', user.name, ...words], { lane });
    this.#asking.delete(key);
    if (verdicts.size >= VERDICTS_MAXIMUM) verdicts.clear();
    verdicts.set(key, verdictOf(answer));
    if (answer instanceof RespError) setTimeout(() => verdicts.delete(key), FAILURE_MS).unref();
  }
}

function verdictOf(answer: RespValue): Verdict {
  if (answer instanceof RespError) return encodeReply(answer, 2);
  const text = textOf(answer) ?? '';
  return text === 'OK' ? null : errorReply(`NOPERM ${text}`);
}

/** SELECT is the one whose argument counts: rules may name databases. */
function keyOf(
  user: CacheUser,
  database: number,
  command: Command,
  words: readonly string[],
): string {
  return `${user.name} ${database} ${command.name} ${command.name === 'select' ? words[1] : ''}`;
}

/** Do the rules allow every command, whatever else they say of keys and channels? */
function mayEverything(rules: string): boolean {
  const words = rules.split(/\s+/).filter((word) => word !== '');
  const decisive = words.filter(
    (word) => !/^[~&%]|^(allkeys|allchannels|resetkeys|resetchannels|alldbs)$/.test(word),
  );
  return (
    decisive.length > 0 && decisive.every((word) => word === '+@all' || word === 'allcommands')
  );
}
