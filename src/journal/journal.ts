/**
 * What this node knows by itself, as files below its state directory: one for each network and endpoint, so that a
 * change rewrites one small file and a damaged file is one record.
 *
 *   node-id                      16 hex digits, made once
 *   engine-id                    of the Docker engine that this daemon is the plugin of
 *   networks/<network id>.json   a LocalNetwork
 *   endpoints/<endpoint id>.json a LocalEndpoint
 *
 * A file that cannot be read stops the load and stays where it is: dropping a record would drop a container's network.
 */

import { randomBytes } from 'node:crypto';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeId } from '../core/identity.ts';
import { messageOf, overlayError } from '../errors.ts';
import type { Journal } from '../ports/journal.ts';
import {
  createFileSafely,
  makeDirectory,
  readFileIfThere,
  removeFileSafely,
  unfinished,
  writeFileSafely,
} from './files.ts';
import { createQueues } from './queues.ts';
import { parseEndpoint, parseNetwork } from './records.ts';

const extension = '.json';

/** @throws STATE_CORRUPT when the directory cannot be made or read */
export async function openJournal(stateDirectory: string): Promise<Journal> {
  const networks = join(stateDirectory, 'networks');
  const endpoints = join(stateDirectory, 'endpoints');
  const engine = join(stateDirectory, 'engine-id');
  const inOrder = createQueues();
  for (const directory of [networks, endpoints]) await prepare(directory);

  const save = (path: string, record: object) => inOrder(path, () => writeFileSafely(path, text(record)));
  const forget = (path: string) => inOrder(path, () => removeFileSafely(path));
  return {
    load: async () => ({
      networks: await loadAll(networks, parseNetwork),
      endpoints: await loadAll(endpoints, parseEndpoint),
    }),
    saveNetwork: (network) => save(fileOf(networks, network.id), network),
    forgetNetwork: (id) => forget(fileOf(networks, id)),
    saveEndpoint: (endpoint) => save(fileOf(endpoints, endpoint.id), endpoint),
    forgetEndpoint: (id) => forget(fileOf(endpoints, id)),
    // A damaged one is no engine's id: the engine is then found out again.
    loadEngine: () => reading(engine, async () => (await readFileIfThere(engine))?.trim() || null),
    saveEngine: (id) => inOrder(engine, () => writeFileSafely(engine, `${id}\n`)),
  };
}

/** This node's id, made at the first call; several processes that ask at once get the same. @throws STATE_CORRUPT */
export async function nodeIdentity(stateDirectory: string): Promise<NodeId> {
  const path = join(stateDirectory, 'node-id');
  return reading(path, async () => {
    await makeDirectory(stateDirectory);
    const known = await readFileIfThere(path);
    if (known !== null) return parseNodeId(known);
    const made = randomBytes(8).toString('hex');
    const isFirst = await createFileSafely(path, `${made}\n`);
    return parseNodeId(isFirst ? made : await readFile(path, 'utf8'));
  });
}

/** Also removes what an earlier process did not finish writing: nobody was told that it had been saved. */
async function prepare(directory: string): Promise<void> {
  await reading(directory, async () => {
    await makeDirectory(directory);
    const drafts = (await readdir(directory)).filter((name) => name.endsWith(unfinished));
    for (const name of drafts) await unlink(join(directory, name));
  });
}

async function loadAll<Value>(directory: string, parse: (text: string) => Value): Promise<readonly Value[]> {
  const names = await reading(directory, () => readdir(directory));
  const paths = names.filter((name) => name.endsWith(extension)).map((name) => join(directory, name));
  return Promise.all(paths.sort().map((path) => reading(path, async () => parse(await readFile(path, 'utf8')))));
}

/** @throws STATE_CORRUPT naming the path */
async function reading<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const problem = messageOf(error).replaceAll(/\s+/g, ' ').slice(0, 200);
    throw overlayError('STATE_CORRUPT', { path, problem }, { cause: error });
  }
}

function fileOf(directory: string, id: string): string {
  return join(directory, `${encodeURIComponent(id)}${extension}`);
}

function text(record: object): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

function parseNodeId(content: string): NodeId {
  const id = content.trim();
  if (!/^[0-9a-f]{16}$/.test(id)) throw new Error('it should hold 16 hex digits');
  return id as NodeId;
}
