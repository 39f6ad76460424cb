/**
 * What `weft` runs. Commands that only ask a daemon load nothing of what a daemon is made of, so they answer at once.
 */

import { runCli } from './cli/main.ts';

process.exitCode = await runCli(process.argv, {
  runDaemon: async (config) => (await import('./daemon.ts')).runDaemon(config),
});
