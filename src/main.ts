/**
 * What `weft` runs. Commands that only ask a daemon load nothing of what a daemon is made of, so they answer at once.
 */

import { runCli } from './cli/main.ts';

/** Implementation: what is closed is gone at once; only a name being looked up by the system can take longer. */
const exitLimitMs = 1_000;

process.exitCode = await runCli(process.argv, {
  runDaemon: async (config) => (await import('./daemon.ts')).runDaemon(config),
});
setTimeout(() => process.exit(), exitLimitMs).unref();
