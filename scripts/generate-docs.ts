/**
 * Writes docs/errors.md from the table of errors and docs/metrics.md from the catalogue of metrics. With `--check` it
 * writes nothing and fails when a file is not what it would write.
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorTable } from '../src/errors.ts';
import { catalogue } from '../src/metrics/catalogue.ts';

const root = join(import.meta.dirname, '..');

const pages = [
  { path: 'docs/errors.md', text: errorsPage() },
  { path: 'docs/metrics.md', text: metricsPage() },
];

function errorsPage(): string {
  return page('Errors', 'src/errors.ts', [
    'Every failure has a stable code; match on it, never on the text. Words in braces stand for the values of the case.',
    'The plugin answers Docker with the message, the log has both, and `weft` prints the message.',
    '',
    '| code | message |',
    '|---|---|',
    ...errorTable().map(({ code, message }) => `| \`${code}\` | ${cell(message)} |`),
  ]);
}

function metricsPage(): string {
  return page('Metrics', 'src/metrics/catalogue.ts', [
    'Served in the Prometheus text format at `http://127.0.0.1:9474/metrics`; `--metrics ADDRESS:PORT` moves it, `--metrics off`',
    'turns it off. No label has a MAC or container address.',
    '',
    '| name | kind | labels | meaning |',
    '|---|---|---|---|',
    ...catalogue.map(({ name, kind, labels, help }) => {
      const names = labels.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${kind} | ${names} | ${cell(help)} |`;
    }),
  ]);
}

function page(title: string, source: string, lines: readonly string[]): string {
  const head = [`# ${title}`, '', `<!-- Written by scripts/generate-docs.ts from ${source}; edit that. -->`, ''];
  return `${[...head, ...lines].join('\n')}\n`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

async function isCurrent(path: string, text: string): Promise<boolean> {
  const present = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  return present === text;
}

const isCheck = process.argv.includes('--check');
for (const { path, text } of pages) {
  const file = join(root, path);
  if (await isCurrent(file, text)) continue;
  if (isCheck) {
    process.stderr.write(`${path} is out of date; run: node --import tsx scripts/generate-docs.ts\n`);
    process.exitCode = 1;
  } else {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    process.stdout.write(`wrote ${path}\n`);
  }
}
