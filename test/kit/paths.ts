/** Where things are in this clone. Scripts, tests and bench find programs through here, never through PATH alone. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const weftProgram = join(repositoryRoot, 'bin', 'weft');

/** What `npm run setup` unpacked or made. @throws when it is not there, because set-up has not run */
export function labFile(...parts: readonly string[]): string {
  const path = join(repositoryRoot, '.lab', ...parts);
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`npm run setup\``);
  return path;
}
