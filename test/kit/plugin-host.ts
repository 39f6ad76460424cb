/** A node with an engine and Weft installed in it as a managed plugin. */

import { eventually } from './command.ts';
import { createDocker, type Docker, split } from './docker.ts';
import type { Engine, EngineVersion } from './engine.ts';
import { createPlugin, type ManagedPlugin } from './managed-plugin.ts';
import type { LabNode } from './node.ts';

export interface PluginHost extends Docker {
  readonly host: LabNode;
  readonly engine: Engine;
  readonly plugin: ManagedPlugin;
  readonly bpfDir: string;
  /** `weft status --json` and its like. */
  report<Report>(command: string): Promise<Report>;
}

/** `settings`: NAME=VALUE of the plugin; `args`: of the engine. @returns when the plugin is enabled */
export async function pluginHost(
  host: LabNode,
  version: EngineVersion,
  settings: readonly string[],
  args: readonly string[] = [],
): Promise<PluginHost> {
  const engine = await host.engine({ version, args });
  const plugin = await createPlugin(host, engine);
  await plugin.set(...settings);
  await plugin.enable();
  return {
    ...createDocker(host.name, engine),
    host,
    engine,
    plugin,
    bpfDir: `${engine.bpfDir}/weft`,
    report: async (command) => JSON.parse(await plugin.cli([...split(command), '--json'])),
  };
}

/** As soon as swarm's tasks have let go of it, which it does not wait for. */
export async function removeNetwork({ engine }: Pick<PluginHost, 'engine'>, network: string): Promise<void> {
  let said = '';
  const isRemoved = async () => {
    const { code, stderr } = await engine.tryDocker(['network', 'rm', network]);
    said = stderr.trim();
    return code === 0;
  };
  await eventually(`network ${network} is removed`, isRemoved, { limitMs: 120_000, everyMs: 1_000 }).catch(() => {
    throw new Error(`network ${network} cannot be removed: ${said}`);
  });
}
