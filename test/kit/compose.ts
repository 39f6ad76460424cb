/** A real Docker Compose on a lab's engine, and the image that the examples name. */

import { attempt } from './command.ts';
import { type Engine, testImage } from './engine.ts';
import { labFile } from './paths.ts';

/** The one of docs/examples. */
export const exampleImage = 'busybox:1.36';

/** Gives the test image the name of the examples' image: a lab has no way to a registry on the internet. */
export async function loadBusybox(engine: Engine): Promise<void> {
  await engine.loadImage();
  await engine.docker(['tag', testImage, exampleImage]);
}

/** docker compose -f FILE WORDS. @returns its trimmed output; @throws when it fails */
export async function compose(engine: Engine, file: string, ...words: readonly string[]): Promise<string> {
  const argv = [labFile('compose', 'cli-plugins', 'docker-compose'), '--file', file, '--ansi', 'never', ...words];
  const { code, stdout, stderr } = await attempt(argv, { env: engine.env, timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`docker compose ${words.join(' ')}: ${stderr.trim()}`);
  return stdout.trim();
}
