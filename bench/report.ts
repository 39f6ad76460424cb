/**
 * A result file as Markdown:
 *
 *   node --import tsx bench/report.ts results/FILE.json                    prints it
 *   node --import tsx bench/report.ts results/FILE.json --into README.md   puts it between the markers there
 *
 * The markers are `<!-- figures -->` and `<!-- /figures -->`, each on a line of its own. Tables link to the result file.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Results } from './results.ts';
import { toMarkdown } from './tables.ts';

const begin = '<!-- figures -->';
const end = '<!-- /figures -->';

function main(argv: readonly string[]): void {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { into: { type: 'string' } },
    allowPositionals: true,
  });
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) throw new Error('give one result file');
  const results = JSON.parse(readFileSync(file, 'utf8')) as Results;
  if (results.format !== 2) throw new Error(`${file} is of format ${results.format}, not 2`);
  const markdown = toMarkdown(results);
  if (values.into === undefined) process.stdout.write(`${markdown}\n`);
  else insert(values.into, markdown, file);
}

function insert(page: string, markdown: string, file: string): void {
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(`${begin}\n`), text.indexOf(`\n${end}`)];
  if (from < 0 || to < from) throw new Error(`${page} has no lines "${begin}" and "${end}"`);
  const link = relative(dirname(resolve(page)), resolve(file));
  const body = `${begin}\n${markdown}\n\nAll of it: [${link}](${link}).`;
  writeFileSync(page, text.slice(0, from) + body + text.slice(to));
}

try {
  main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`report: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
