/**
 * The engine's commands as it describes them itself (`COMMAND`, DESIGN decision 3): arity, flags, where the keys are, and
 * the tips for proxies (`request_policy`, `response_policy`). A new engine version's commands are in it the day it runs.
 *
 * Looking a command up is hot: by its bytes, without making a string, in an open hash table.
 */
import { entriesOf, itemsOf, textOf, type RespValue } from './resp-value.ts';

/** Flags that decide something in a proxy; the others stay in `flagNames`. */
export const FLAG_WRITE = 1;
export const FLAG_READONLY = 2;
export const FLAG_BLOCKING = 4;
export const FLAG_NO_MULTI = 8;
export const FLAG_NO_AUTH = 16;
export const FLAG_ADMIN = 32;
export const FLAG_PUBSUB = 64;
export const FLAG_NOSCRIPT = 128;

const FLAG_BITS: Readonly<Record<string, number>> = {
  write: FLAG_WRITE,
  readonly: FLAG_READONLY,
  blocking: FLAG_BLOCKING,
  no_multi: FLAG_NO_MULTI,
  no_auth: FLAG_NO_AUTH,
  admin: FLAG_ADMIN,
  pubsub: FLAG_PUBSUB,
  noscript: FLAG_NOSCRIPT,
};

/** How the first key is found: no key; at a fixed argument; by the key specifications. */
export const KEYS_NONE = 0;
export const KEYS_FIXED = 1;
export const KEYS_BY_SPEC = 2;

/** One key specification of `COMMAND` (begin_search and find_keys). */
export interface KeySpec {
  /** Search for `keyword` from argument `index` on; without keyword `index` itself. Negative: from the end. */
  readonly index: number;
  readonly keyword: string | null;
  /** `range`: lastKey relative to the first (negative: from the end), every `step`, `limit` (1/n of the rest). */
  readonly lastKey: number;
  readonly step: number;
  readonly limit: number;
  /** `keynum`: the argument with the number of keys, relative to the begin; -1 for `range`. */
  readonly keyCountIndex: number;
  readonly firstKey: number;
}

/** Where the arguments of a request are: what RequestScanner leaves behind. */
export interface RequestArguments {
  readonly argc: number;
  readonly argStart: ArrayLike<number>;
  readonly argEnd: ArrayLike<number>;
}

export class Command {
  /** Lower case; a subcommand is `container|sub`. */
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly arity: number;
  readonly flags: number;
  readonly flagNames: readonly string[];
  readonly categories: readonly string[];
  readonly tips: readonly string[];
  readonly keySpecs: readonly KeySpec[];
  /** It touches no keys but those that its key specifications find: it is no script and has no `BY pattern`. */
  readonly namesAllKeys: boolean;
  readonly keysMode: number;
  /** KEYS_FIXED: the argument that is the first key. */
  readonly firstKey: number;
  readonly requestPolicy: string | null;
  readonly responsePolicy: string | null;
  readonly subcommands: ReadonlyMap<string, Command> | null;
  readonly subcommandIndex: NameIndex | null;

  constructor(entry: RespValue) {
    const fields = itemsOf(entry);
    this.name = (textOf(fields[0]) ?? '').toLowerCase();
    const bar = this.name.indexOf('|');
    this.nameBytes = Buffer.from(bar < 0 ? this.name : this.name.slice(bar + 1));
    this.arity = Number(textOf(fields[1]));
    this.flagNames = itemsOf(fields[2]).map((flag) => textOf(flag) ?? '');
    this.flags = this.flagNames.reduce((bits, flag) => bits | (FLAG_BITS[flag] ?? 0), 0);
    this.categories = itemsOf(fields[6]).map((category) => textOf(category) ?? '');
    this.tips = itemsOf(fields[7]).map((tip) => textOf(tip) ?? '');
    this.requestPolicy = tipOf(this.tips, 'request_policy:');
    this.responsePolicy = tipOf(this.tips, 'response_policy:');
    const specs = itemsOf(fields[8]).map(parseKeySpec);
    this.keySpecs = specs.filter((spec) => spec !== null);
    this.namesAllKeys =
      specs.length > 0 &&
      specs.every((spec) => spec !== null) &&
      !itemsOf(fields[8]).some(isIncomplete) &&
      !this.categories.includes('@scripting');
    const first = this.keySpecs[0];
    if (first === undefined) {
      this.keysMode = KEYS_NONE;
      this.firstKey = 0;
    } else if (first.keyword === null && first.keyCountIndex < 0) {
      this.keysMode = KEYS_FIXED;
      this.firstKey = first.index;
    } else {
      this.keysMode = KEYS_BY_SPEC;
      this.firstKey = 0;
    }
    const subcommands = itemsOf(fields[9]).map((sub) => new Command(sub));
    this.subcommands =
      subcommands.length === 0 ? null : new Map(subcommands.map((sub) => [sub.name, sub]));
    this.subcommandIndex = subcommands.length === 0 ? null : new NameIndex(subcommands);
  }

  /** Does `argc` fit the arity (positive: exactly; negative: at least)? */
  fits(argc: number): boolean {
    return this.arity >= 0 ? argc === this.arity : argc >= -this.arity;
  }

  /** Index of the argument that is the first key, or 0 when this request names none. Hot. */
  firstKeyOf(buf: Uint8Array, args: RequestArguments): number {
    if (this.keysMode === KEYS_FIXED) return this.firstKey < args.argc ? this.firstKey : 0;
    if (this.keysMode === KEYS_NONE) return 0;
    for (const spec of this.keySpecs) {
      const keys = keysOfSpec(spec, buf, args);
      if (keys.length > 0) return keys[0]!;
    }
    return 0;
  }

  /** Indexes of all arguments that are keys. */
  keysOf(buf: Uint8Array, args: RequestArguments): number[] {
    return this.keySpecs.flatMap((spec) => keysOfSpec(spec, buf, args));
  }
}

/** Commands by the bytes of their names, case-insensitive. */
export class NameIndex {
  readonly #slots: (Command | null)[];
  readonly #mask: number;

  constructor(commands: readonly Command[]) {
    let size = 8;
    while (size < commands.length * 4) size *= 2;
    this.#slots = Array.from({ length: size }, () => null);
    this.#mask = size - 1;
    for (const command of commands) {
      let at = hashName(command.nameBytes, 0, command.nameBytes.length) & this.#mask;
      while (this.#slots[at] !== null) at = (at + 1) & this.#mask;
      this.#slots[at] = command;
    }
  }

  find(buf: Uint8Array, start: number, end: number): Command | null {
    let at = hashName(buf, start, end) & this.#mask;
    for (;;) {
      const command = this.#slots[at]!;
      if (command === null) return null;
      const name = command.nameBytes;
      if (name.length === end - start) {
        let i = 0;
        while (i < name.length && lower(buf[start + i]!) === name[i]) i++;
        if (i === name.length) return command;
      }
      at = (at + 1) & this.#mask;
    }
  }
}

export class CommandTable {
  readonly commands: readonly Command[];
  readonly #byName = new Map<string, Command>();
  readonly #index: NameIndex;

  /** @param reply the decoded reply of `COMMAND` */
  constructor(reply: RespValue) {
    this.commands = itemsOf(reply).map((entry) => new Command(entry));
    this.#index = new NameIndex(this.commands);
    for (const command of this.commands) {
      this.#byName.set(command.name, command);
      for (const [name, sub] of command.subcommands ?? []) this.#byName.set(name, sub);
    }
  }

  /** The command of a request: the subcommand where the container has it; null when the engine does not know it. Hot. */
  lookup(buf: Uint8Array, args: RequestArguments): Command | null {
    const command = this.#index.find(buf, args.argStart[0]!, args.argEnd[0]!);
    if (command === null || command.subcommandIndex === null || args.argc < 2) return command;
    return command.subcommandIndex.find(buf, args.argStart[1]!, args.argEnd[1]!) ?? command;
  }

  /** By full lower-case name, `config|get`. */
  byName(name: string): Command | undefined {
    return this.#byName.get(name);
  }
}

/** The arguments that `spec` says are keys; none where the request is too short for it or its count is no number. */
function keysOfSpec(spec: KeySpec, buf: Uint8Array, args: RequestArguments): number[] {
  let begin = spec.index;
  if (spec.keyword !== null) {
    begin = findKeyword(spec.keyword, spec.index, buf, args);
    if (begin < 0) return [];
  }
  let first = begin;
  let last: number;
  if (spec.keyCountIndex >= 0) {
    const at = begin + spec.keyCountIndex;
    if (at >= args.argc) return [];
    const count = Number(
      Buffer.from(buf.subarray(args.argStart[at], args.argEnd[at])).toString('latin1'),
    );
    if (!Number.isInteger(count) || count < 1 || count > args.argc) return [];
    first = begin + spec.firstKey;
    last = first + (count - 1) * spec.step;
    if (last >= args.argc) return []; // more than there are: the engine finds none either, and refuses
  } else if (spec.lastKey >= 0) {
    last = begin + spec.lastKey;
  } else if (spec.limit <= 1) {
    last = args.argc + spec.lastKey;
  } else {
    last = begin + Math.floor((args.argc - begin) / spec.limit) + spec.lastKey;
  }
  const keys: number[] = [];
  for (let at = first; at <= last && at < args.argc; at += spec.step) keys.push(at);
  return keys;
}

/** Position after `keyword`, searched from `from` on (negative: backwards from the end); -1 when it is not there. */
function findKeyword(
  keyword: string,
  from: number,
  buf: Uint8Array,
  args: RequestArguments,
): number {
  const step = from < 0 ? -1 : 1;
  const start = from < 0 ? args.argc + from : from;
  for (let at = start; at > 0 && at < args.argc; at += step) {
    const length = args.argEnd[at]! - args.argStart[at]!;
    if (length !== keyword.length) continue;
    let i = 0;
    while (i < length && lower(buf[args.argStart[at]! + i]!) === keyword.charCodeAt(i)) i++;
    if (i === length) return at + 1;
  }
  return -1;
}

function parseKeySpec(value: RespValue): KeySpec | null {
  const spec = new Map(entriesOf(value));
  const search = new Map(entriesOf(spec.get('begin_search')));
  const find = new Map(entriesOf(spec.get('find_keys')));
  const searchSpec = new Map(entriesOf(search.get('spec')));
  const findSpec = new Map(entriesOf(find.get('spec')));
  const searchType = textOf(search.get('type'));
  const findType = textOf(find.get('type'));
  if (searchType === 'unknown' || findType === 'unknown' || searchType === null) return null;
  const number = (map: Map<string, RespValue>, key: string) => Number(textOf(map.get(key)) ?? 0);
  const isKeyword = searchType === 'keyword';
  return {
    index: number(searchSpec, isKeyword ? 'startfrom' : 'index'),
    keyword: isKeyword ? (textOf(searchSpec.get('keyword')) ?? '').toLowerCase() : null,
    lastKey: number(findSpec, 'lastkey'),
    step: Math.max(1, number(findSpec, 'keystep')),
    limit: number(findSpec, 'limit'),
    keyCountIndex: findType === 'keynum' ? number(findSpec, 'keynumidx') : -1,
    firstKey: number(findSpec, 'firstkey'),
  };
}

/** Its own flag for a specification that may miss keys. */
function isIncomplete(spec: RespValue): boolean {
  const flags = new Map(entriesOf(spec)).get('flags');
  return itemsOf(flags).some((flag) => textOf(flag) === 'incomplete');
}

function tipOf(tips: readonly string[], prefix: string): string | null {
  return tips.find((tip) => tip.startsWith(prefix))?.slice(prefix.length) ?? null;
}

function hashName(buf: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + lower(buf[i]!)) | 0;
  return hash ^ (hash >>> 11);
}

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}
