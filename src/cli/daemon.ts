/** `weft daemon`: flags and environment to a Config, and on to the composition root. */

import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { isOverlayError } from '../errors.ts';
import { type SettingName, settings, tokenVariable } from '../settings.ts';
import { type Surroundings, settingOption, UsageError } from './surroundings.ts';

type DaemonFlags = Readonly<Partial<Record<SettingName, string>>>;

export function addDaemon(
  program: Command,
  runDaemon: (config: Config) => Promise<void>,
  { environment }: Surroundings,
): void {
  const daemon = program
    .command('daemon')
    .description('run the daemon in the foreground; it logs JSON lines to stderr')
    .addHelpText('after', `\nThe ACL token of the store is read from ${tokenVariable} or from --store-token-file.`);
  for (const [name, setting] of Object.entries(settings)) {
    if (name !== 'controlSocket') daemon.addOption(settingOption(setting));
  }
  daemon.action(async () => {
    await runDaemon(await configOf(daemon.optsWithGlobals<DaemonFlags>(), environment));
  });
}

async function configOf(flags: DaemonFlags, environment: Surroundings['environment']): Promise<Config> {
  // Loaded here only: the other commands need neither the schemas nor the address arithmetic.
  const { readConfig } = await import('../config.ts');
  try {
    return readConfig(flags, environment);
  } catch (error) {
    if (!isOverlayError(error, 'CONFIG_INVALID')) throw error;
    throw new UsageError(error.message, { cause: error });
  }
}
