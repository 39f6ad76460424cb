/**
 * The command line. `weft daemon` hands a Config to the composition root; every other command asks the daemon over
 * the control socket and loads nothing of what a daemon is made of. Exit codes: 0 done, 1 failed, 2 wrong usage. An
 * error is one line on stderr that starts with `weft:`.
 */

import { Command, CommanderError } from 'commander';
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import { settings } from '../settings.ts';
import { readVersion } from '../version.ts';
import { addDaemon } from './daemon.ts';
import { addReports, addVersion } from './reports.ts';
import { processSurroundings, type Surroundings, settingOption, UsageError } from './surroundings.ts';

export interface CliParts {
  /** Resolves when the daemon was told to stop and has let go of everything. */
  runDaemon(config: Config): Promise<void>;
}

/** Runs one command; `argv` as in process.argv. Resolves to the exit code and never rejects. */
export async function runCli(
  argv: readonly string[],
  parts: CliParts,
  surroundings: Surroundings = processSurroundings(),
): Promise<number> {
  try {
    await createProgram(parts, surroundings).parseAsync(argv);
    return 0;
  } catch (error) {
    // Commander has printed its own line, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    surroundings.printError(`weft: ${oneLine(messageOf(error))}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function createProgram(parts: CliParts, surroundings: Surroundings): Command {
  const version = readVersion();
  const program = new Command('weft')
    .description('VXLAN overlay networks for Docker')
    .version(`weft ${version}`, '--version', 'print the version of this program')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => surroundings.print(text),
      writeErr: (text) => surroundings.printError(text),
      outputError: (text, write) => write(`${oneLine(text.replace(/^error:/, 'weft:'))}; see weft --help\n`),
    })
    .configureHelp({ showGlobalOptions: true })
    .addOption(settingOption(settings.controlSocket));
  addDaemon(program, (config) => parts.runDaemon(config), surroundings);
  addReports(program, surroundings);
  addVersion(program, version, surroundings);
  return program;
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ');
}
