/**
 * Which files of node_modules a daemon needs at run time: of the packages that npm's own record of what is installed
 * does not call development ones, the code, the addons for this Node.js, and the licences. Everything else (types, maps,
 * documentation, tests, what compilers left, prebuilt addons for another Node.js or C library) stays out.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folders of a package that hold no code for run time. */
const leftOut = new Set([
  ...[
    'node_modules',
    'test',
    'tests',
    '__tests__',
    'doc',
    'docs',
    'example',
    'examples',
    'bench',
    'benchmark',
    'benchmarks',
  ],
  // What node-gyp leaves beside what it makes, and sources of addons and of LMDB.
  ...['obj.target', '.deps', 'dependencies', 'include'],
]);
const isCode = /\.(js|cjs|mjs|json|node)$/;
const isLicence = /^(licen[cs]e|notice|copying)/i;
/** node.abi115.glibc.node, node.napi.musl.node */
const prebuilt = /^node\.(?:abi(?<abi>\d+)|napi)\.(?<libc>glibc|musl)\.node$/;

/** Paths below `root`, sorted. @throws Error when an addon of a package has not been built */
export function productionPackages(root: string): readonly string[] {
  return installed(root).flatMap((folder) => {
    const files = filesOf(root, folder);
    const needsAddon = existsSync(join(root, folder, 'binding.gyp')) && !hasPrebuilds(root, folder);
    if (needsAddon && !files.some((file) => file.endsWith('.node')))
      throw new Error(`the addon of ${folder} is not built: run npm rebuild ${folder.replace(/.*node_modules\//, '')}`);
    return files;
  });
}

interface Installed {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }>>;
}

/** Those for other platforms are not in the record: npm did not install them. */
function installed(root: string): readonly string[] {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) throw new Error('there are no npm packages here: run npm ci');
  const { packages } = JSON.parse(readFileSync(record, 'utf8')) as Installed;
  return Object.entries(packages)
    .filter(([, { dev, devOptional }]) => dev !== true && devOptional !== true)
    .map(([folder]) => folder)
    .toSorted();
}

/** Packages whose addons come prebuilt, in packages of their own for each platform. */
function hasPrebuilds(root: string, folder: string): boolean {
  const { optionalDependencies = {} } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  return Object.keys(optionalDependencies).length > 0;
}

function filesOf(root: string, folder: string): readonly string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  const kept = names.filter((name) => (isCode.test(name) || isLicence.test(name)) && !isForAnother(name, names));
  const folders = entries.filter((entry) => entry.isDirectory() && !leftOut.has(entry.name));
  return [
    ...kept.toSorted().map((name) => join(folder, name)),
    ...folders.flatMap(({ name }) => filesOf(root, join(folder, name))),
  ];
}

/** Whether it is a prebuilt addon that this Node.js does not load: one made for its very version comes before napi. */
function isForAnother(name: string, beside: readonly string[]): boolean {
  const parts = prebuilt.exec(name)?.groups;
  if (parts === undefined) return false;
  const libc = isGlibc() ? 'glibc' : 'musl';
  const exact = `node.abi${process.versions.modules}.${libc}.node`;
  return name !== (beside.includes(exact) ? exact : `node.napi.${libc}.node`);
}

function isGlibc(): boolean {
  const { header } = process.report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime !== undefined;
}
