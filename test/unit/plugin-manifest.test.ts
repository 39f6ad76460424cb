/** The manifest of the managed plugin against the settings of the daemon: neither has what the other lacks. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { readConfig } from '../../src/config.ts';
import { environmentVariable, type SettingName, settings, tokenVariable } from '../../src/settings.ts';
import { repositoryRoot } from '../kit/paths.ts';
import { suite } from '../kit/suite.ts';

interface Manifest {
  readonly interface: { readonly types: readonly string[]; readonly socket: string };
  readonly linux: { readonly capabilities: readonly string[] };
  readonly propagatedMount: string;
  readonly mounts: readonly { readonly name: string; readonly destination: string; readonly settable?: unknown }[];
  readonly env: readonly {
    readonly name: string;
    readonly description: string;
    readonly value: string;
    readonly settable?: readonly string[];
  }[];
}

const manifest = JSON.parse(readFileSync(join(repositoryRoot, 'plugin.json'), 'utf8')) as Manifest;
const value = (name: string) => manifest.env.find((variable) => variable.name === name)?.value;

/** Where the plugin's own surroundings say it; an operator has no say in them. */
const fixed = new Set<SettingName>(['pluginSocket', 'controlSocket', 'stateDir', 'bpfDir', 'dockerSocket']);
/** Values that are not the daemon's own defaults, and why. */
const other: Partial<Record<SettingName, string>> = {
  // The engine calls the driver of a managed plugin by its name with the tag.
  driverName: 'weft:latest',
  // A managed plugin that ends is given up by its engine, and stays disabled when the store is back.
  waitForStore: 'on',
  // Where the docker-socket mount is.
  dockerSocket: '/run/docker-engine.sock',
  // Both sockets are in the directory that the engine shares with its plugin.
  controlSocket: '/run/docker/plugins/control.sock',
};
/** What is no setting of settings.ts. */
const besides = [tokenVariable, 'NODE_EXTRA_CA_CERTS', 'UV_THREADPOOL_SIZE'];

const test = suite('plugin manifest');

test('every setting has a variable in the manifest, settable unless its value is fixed', () => {
  for (const name of Object.keys(settings) as SettingName[]) {
    const variable = environmentVariable(settings[name].flag);
    const found = manifest.env.find((each) => each.name === variable);
    assert.ok(found !== undefined, variable);
    assert.equal(found.settable ?? [], fixed.has(name) ? [] : ['value'], variable);
    assert.is.not(found.description, '');
  }
});

test('no variable stands for a setting that is not there', () => {
  const known = new Set([...Object.values(settings).map(({ flag }) => environmentVariable(flag)), ...besides]);
  assert.equal(
    manifest.env.map(({ name }) => name).filter((name) => !known.has(name)),
    [],
  );
});

test('default values are those of the daemon; empty where it has none', () => {
  for (const name of Object.keys(settings) as SettingName[]) {
    const { flag, fallback } = settings[name];
    assert.is(value(environmentVariable(flag)), other[name] ?? fallback ?? '', flag);
  }
});

test('the daemon takes the default values as they are', () => {
  const environment = Object.fromEntries(manifest.env.map((variable) => [variable.name, variable.value]));
  const config = readConfig({}, environment);

  assert.is(config.storeToken, null);
  assert.equal([config.scope, config.driverName], ['local', 'weft:latest']);
});

test('sockets, state and pins are where mounts put them', () => {
  const mount = (name: string) => manifest.mounts.find((each) => each.name === name)?.destination;

  assert.is(value('WEFT_PLUGIN_SOCKET'), `/run/docker/plugins/${manifest.interface.socket}`);
  assert.is(value('WEFT_STATE_DIR'), manifest.propagatedMount);
  assert.ok(value('WEFT_STORE')?.startsWith(`lmdb://${manifest.propagatedMount}/`));
  assert.is(value('WEFT_BPF_DIR'), `${mount('bpf')}/weft`);
  assert.is(value('WEFT_DOCKER_SOCKET'), mount('docker-socket'));
});

test('it is granted what it needs and no more', () => {
  assert.equal(manifest.linux.capabilities, ['CAP_NET_ADMIN', 'CAP_BPF', 'CAP_PERFMON']);
  assert.equal(manifest.interface.types, ['docker.networkdriver/1.0', 'docker.ipamdriver/1.0']);
  for (const { settable } of manifest.mounts) assert.equal(settable, ['source']);
});

test.run();
