/** Another version of the managed plugin, at a registry: what an upgrade upgrades to. */

import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildPlugin } from '../../scripts/plugin-rootfs.ts';
import type { Engine } from './engine.ts';
import type { Lab } from './lab.ts';

const transferLimitMs = 180_000;

/** This clone's with another version number, made and pushed by an engine that may use the registry. */
export async function pushVariant(lab: Lab, engine: Engine, reference: string, version: string): Promise<void> {
  const directory = mkdtempSync(join(lab.directory, 'variant-'));
  cpSync(buildPlugin().path, directory, { recursive: true, verbatimSymlinks: true });
  const manifest = join(directory, 'rootfs/opt/weft/package.json');
  writeFileSync(manifest, JSON.stringify({ ...JSON.parse(readFileSync(manifest, 'utf8')), version }));
  await engine.docker(['plugin', 'create', reference, directory], { timeoutMs: transferLimitMs });
  await engine.docker(['plugin', 'push', reference], { timeoutMs: transferLimitMs });
}
