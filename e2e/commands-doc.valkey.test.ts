import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  allCommands,
  COMMANDS_DOC,
  readEngineCommands,
  renderCommandsDoc,
} from '../scripts/generate-commands-doc.ts';
import { COMMAND_NOTES } from '../scripts/command-notes.ts';
import { ENGINE_LINES } from '../src/model/cache-spec.ts';
import { PLAN_PROXY, planCommand, REFUSED_COMMANDS } from '../src/proxy/command-plan.ts';
import { allHandlers } from '../src/proxy/handlers/all.ts';

describe('every command has a plan', () => {
  it('docs/commands.md is what the generator writes', async () => {
    const expected = renderCommandsDoc(await readEngineCommands('9.1'));
    assert.equal(
      readFileSync(COMMANDS_DOC, 'utf8'),
      expected,
      'run: node scripts/generate-commands-doc.ts',
    );
  });

  for (const line of ENGINE_LINES) {
    it(`whatever the proxy answers has a handler (Valkey ${line})`, async () => {
      const { table } = await readEngineCommands(line);
      const commands = allCommands(table);
      assert.ok(commands.length > 300);
      const lacking = commands
        .filter((command) =>
          [true, false].some((sharding) => planCommand(command, sharding).kind === PLAN_PROXY),
        )
        .map((command) => command.name)
        .filter((name) => !(name in allHandlers));
      assert.deepEqual(lacking, []);
    });
  }

  it('names no command in its rules and notes that no engine has', async () => {
    const tables = await Promise.all(ENGINE_LINES.map(readEngineCommands));
    const known = new Set(
      tables.flatMap(({ table }) => allCommands(table).map((command) => command.name)),
    );
    const named = [
      ...Object.keys(allHandlers),
      ...Object.keys(REFUSED_COMMANDS),
      ...Object.keys(COMMAND_NOTES),
    ];
    assert.deepEqual(
      named.filter((name) => !known.has(name)),
      [],
    );
  });
});
