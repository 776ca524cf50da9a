import { Command } from 'commander';

/** As `springtide` ends after a mistake on its command line (cli/cli-error.ts). */
const USAGE_EXIT_CODE = 2;

/**
 * The command line of a script: `--help` ends it with 0, a mistake with 2, for 1 is what it ends with when it has run and
 * what it looked at has failed.
 * @param name as it is called, for the first line of its help
 */
export function program(name: string): Command {
  return new Command(name)
    .allowExcessArguments(false)
    .showHelpAfterError('(--help shows how)')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE_EXIT_CODE));
}
