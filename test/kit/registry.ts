/** A real image registry on a lab's node, over plain HTTP: engines need --insecure-registry for its address. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, eventually } from './command.ts';
import type { Lab } from './lab.ts';
import type { LabNode } from './node.ts';
import { labFile } from './paths.ts';

export interface Registry {
  /** What stands in front of the names of what it keeps. */
  readonly address: string;
}

/** Arguments of an engine that may use a registry of the lab. */
export const trustingRegistries = ['--insecure-registry', '10.10.0.0/16'] as const;
const port = 5000;

/** It ends with the lab. @returns when it answers */
export async function startRegistry(node: LabNode, lab: Lab): Promise<Registry> {
  const directory = join(lab.directory, node.name, 'registry');
  mkdirSync(directory, { recursive: true });
  const configuration = {
    version: '0.1',
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(directory, 'data') } },
    http: { addr: `${node.address}:${port}` },
  };
  // YAML is a superset of JSON.
  writeFileSync(join(directory, 'registry.yml'), JSON.stringify(configuration));
  const server = await node.spawn([await program(), 'serve', join(directory, 'registry.yml')]);
  const address = `${node.address}:${port}`;
  await eventually(
    `the registry at ${address} answers`,
    async () => {
      if (!server.isRunning()) throw new Error(`the registry ended: ${server.stderr().trim()}`);
      return (await node.exec([process.execPath, '-e', asking(address)])).code === 0;
    },
    { limitMs: 30_000, everyMs: 200 },
  );
  return { address };
}

function asking(address: string): string {
  return `fetch('http://${address}/v2/').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))`;
}

async function program(): Promise<string> {
  const { code, stdout } = await attempt(['sh', '-c', 'command -v docker-registry']);
  return code === 0 ? stdout.trim() : labFile('docker-registry', 'usr', 'bin', 'docker-registry');
}
