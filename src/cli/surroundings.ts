/** What a command sees of the process it runs in; tests pass their own. */

import { Option } from 'commander';
import { environmentVariable, type Setting } from '../settings.ts';

export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  print(text: string): void;
  printError(text: string): void;
}

/** A bad value of a flag or a variable, told apart from a failure while at work: exit code 2, not 1. */
export class UsageError extends Error {}

export function processSurroundings(): Surroundings {
  // `weft endpoints | head`: the reader has seen enough, which is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    environment: process.env,
    print: (text) => void process.stdout.write(text),
    printError: (text) => void process.stderr.write(text),
  };
}

/** The flag, with variable and default in its help. Values are not looked at here: config.ts judges them. */
export function settingOption({ flag, placeholder, help, fallback }: Setting): Option {
  const notes = [...(fallback === null ? [] : [`default: ${fallback}`]), environmentVariable(flag)];
  return new Option(`${flag} <${placeholder}>`, `${help} (${notes.join(', ')})`);
}
