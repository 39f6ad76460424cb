/**
 * The root file system of the managed plugin: this machine's Node.js without its symbols, the shared libraries that it
 * and the addons are linked against, and Weft as built, with the packages it needs at run time. No shell, no other
 * program. What `docker plugin create` takes comes out: a directory with config.json and rootfs/.
 *
 *   /usr/local/bin/node, weft        /opt/weft: as in the clone, so that everything is found where it always is
 *   libraries at their own paths     /etc/nsswitch.conf: names come from /etc/hosts, then from DNS
 *
 * It is made beside the old one and then put in its place. A second run with the same inputs makes nothing.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { productionPackages } from './plugin-packages.ts';

export interface PluginDirectory {
  readonly path: string;
  readonly isNew: boolean;
  /** What it consists of, in bytes, largest first. */
  readonly parts: ReadonlyArray<readonly [name: string, bytes: number]>;
}

/** A file of this machine and where it goes. */
interface Item {
  readonly part: 'Node.js' | 'libraries' | 'packages' | 'Weft';
  readonly from: string;
  /** Below the root file system. */
  readonly to: string;
}

const root = join(import.meta.dirname, '..');
const home = 'opt/weft';
const nodePath = 'usr/local/bin/node';
const stampFile = join(root, 'build', 'plugin.stamp');

/** In build/plugin. @throws Error with one sentence about what is missing */
export function buildPlugin(): PluginDirectory {
  const path = join(root, 'build', 'plugin');
  const items = [...programItems(), ...libraryItems(), ...weftItems()];
  const stamp = stampOf(items);
  const isNew = !(existsSync(path) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp);
  if (isNew) {
    const next = `${path}.next`;
    rmSync(next, { recursive: true, force: true });
    fill(next, items);
    rmSync(stampFile, { force: true });
    rmSync(path, { recursive: true, force: true });
    renameSync(next, path);
    writeFileSync(stampFile, stamp);
  }
  return { path, isNew, parts: measure(join(path, 'rootfs'), items) };
}

function programItems(): readonly Item[] {
  return [{ part: 'Node.js', from: realpathSync(process.execPath), to: nodePath }];
}

function weftItems(): readonly Item[] {
  const own = [
    ...filesBelow('dist').filter((file) => file.endsWith('.js')),
    ...['bin/weft', 'bin/package.json', 'package.json', 'LICENSE', 'NOTICE'],
    ...['native/build/overlay.bpf.o', addonFile],
  ];
  return [
    ...own.map((file) => ({ part: 'Weft', from: join(root, file), to: join(home, file) }) as const),
    ...productionPackages(root).map(
      (file) => ({ part: 'packages', from: join(root, file), to: join(home, file) }) as const,
    ),
  ];
}

const addonFile = 'native/build/Release/weft.node';

/** The loader and every library, at the path at which the loader looks for it. */
function libraryItems(): readonly Item[] {
  const addons = [addonFile, ...productionPackages(root).filter((file) => file.endsWith('.node'))];
  const programs = [realpathSync(process.execPath), ...addons.map((file) => join(root, file))];
  const libraries = new Set(programs.flatMap(librariesOf));
  return [...libraries].toSorted().map((path) => ({ part: 'libraries', from: path, to: path.slice(1) }));
}

/** Lines of ldd: `name => /path (address)`, or `/path (address)` for the loader. */
function librariesOf(program: string): readonly string[] {
  const lines = execFileSync('ldd', [program], { encoding: 'utf8' }).split('\n');
  const absent = lines.find((line) => line.includes('not found'));
  if (absent !== undefined) throw new Error(`${program} needs a library that is not installed: ${absent.trim()}`);
  return lines.flatMap((line) => /(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

function fill(directory: string, items: readonly Item[]): void {
  const rootfs = join(directory, 'rootfs');
  for (const { from, to } of items) {
    mkdirSync(dirname(join(rootfs, to)), { recursive: true });
    copyFileSync(from, join(rootfs, to));
  }
  stripNode(join(rootfs, nodePath));
  // There is no env to find Node.js with.
  const weft = join(rootfs, home, 'bin', 'weft');
  writeFileSync(weft, readFileSync(weft, 'utf8').replace(/^#!.*/, `#!/${nodePath}`));
  chmodSync(weft, 0o755);
  symlinkSync(`/${home}/bin/weft`, join(rootfs, 'usr/local/bin/weft'));
  for (const folder of ['etc', 'dev', 'proc', 'sys', 'run', 'tmp', 'var/lib/weft']) {
    mkdirSync(join(rootfs, folder), { recursive: true });
  }
  writeFileSync(join(rootfs, 'etc/nsswitch.conf'), 'hosts: files dns\n');
  copyFileSync(join(root, 'plugin.json'), join(directory, 'config.json'));
}

function stripNode(program: string): void {
  chmodSync(program, 0o755);
  execFileSync('strip', [program]);
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
  if (version !== process.version) throw new Error(`${program} says ${version} after strip, not ${process.version}`);
}

/** Anything that would make another root file system; sizes and times stand for contents. */
function stampOf(items: readonly Item[]): string {
  const makers = readdirSync(import.meta.dirname).filter((file) => file.startsWith('plugin'));
  const inputs = [
    ...items.map(({ from }) => from),
    join(root, 'plugin.json'),
    ...makers.map((file) => join(import.meta.dirname, file)),
  ];
  const hash = createHash('sha256');
  for (const path of inputs) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function measure(rootfs: string, items: readonly Item[]): PluginDirectory['parts'] {
  const bytes = new Map<string, number>();
  for (const { part, to } of items) bytes.set(part, (bytes.get(part) ?? 0) + statSync(join(rootfs, to)).size);
  return [...bytes].toSorted(([, a], [, b]) => b - a);
}

function filesBelow(folder: string): readonly string[] {
  const found = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => relative(root, join(entry.parentPath, entry.name)));
}
