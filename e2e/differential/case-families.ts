/** What is sent to the proxy and to a plain server: every command of the engine, by family (case-family.ts says how). */
import type { CaseFamily } from './case-family.ts';
import { bits } from './families/bits.ts';
import { connection } from './families/connection.ts';
import { hashes } from './families/hashes.ts';
import { keys } from './families/keys.ts';
import { keyspace } from './families/keyspace.ts';
import { lists } from './families/lists.ts';
import { manySlots } from './families/many-slots.ts';
import { messages } from './families/messages.ts';
import { scripts } from './families/scripts.ts';
import { server } from './families/server.ts';
import { sets } from './families/sets.ts';
import { shardedOnly } from './families/sharded-only.ts';
import { sortedSets } from './families/sorted-sets.ts';
import { streams } from './families/streams.ts';
import { strings } from './families/strings.ts';
import { transactions } from './families/transactions.ts';
import { unshardedOnly } from './families/unsharded-only.ts';

export const caseFamilies: readonly CaseFamily[] = [
  strings,
  bits,
  keys,
  lists,
  hashes,
  sets,
  sortedSets,
  streams,
  scripts,
  transactions,
  messages,
  connection,
  server,
  keyspace,
  manySlots,
  unshardedOnly,
  shardedOnly,
];
