/** A node of the lab: a network namespace on a LAN, in which commands, a Docker engine and weft daemons run. */

import { attempt, type CommandOptions, type Outcome, type Running, run, start } from './command.ts';
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
import { type Engine, type EngineOptions, startEngine } from './engine.ts';
import type { Surroundings } from './lab.ts';
import { insideNetns } from './netns.ts';
import type { Place } from './router.ts';

/** Where commands can be run: a node, or a container's network namespace. */
export interface Station {
  readonly name: string;
  /** Runs a command; a failure is a value. */
  exec(argv: readonly string[], options?: CommandOptions): Promise<Outcome>;
  /** @returns its trimmed output; @throws when it fails */
  run(argv: readonly string[], options?: CommandOptions): Promise<string>;
  /** Starts a process that goes on; it ends with the lab at the latest. */
  spawn(argv: readonly string[], options?: CommandOptions): Promise<Running>;
}

export interface LabNode extends Station {
  readonly netns: string;
  /** On its device eth0. */
  readonly address: string;
  readonly address6: string;
  readonly lan: number;
  /** Takes the cable out, and puts it back. */
  cut(): Promise<void>;
  heal(): Promise<void>;
  /** The largest packet that passes between this node and other LANs; the size of its device or more: no limit. */
  setMtu(bytes: number): Promise<void>;
  engine(options?: EngineOptions): Promise<Engine>;
  daemon(options: DaemonOptions): Promise<Daemon>;
}

export interface NodeFacts {
  readonly id: string;
  readonly netns: string;
  readonly place: Place;
  readonly deviceMtuBytes: number;
}

/** A station from the words that lead a command into it. */
export function createStation(name: string, prefix: readonly string[], env: Readonly<Record<string, string>>): Station {
  const marked = (options: CommandOptions = {}) => ({ ...options, env: { ...env, ...options.env } });
  return {
    name,
    exec: (argv, options) => attempt([...prefix, ...argv], marked(options)),
    run: (argv, options) => run([...prefix, ...argv], marked(options)),
    spawn: (argv, options) => start([...prefix, ...argv], marked(options)),
  };
}

export function createNode({ id, netns, place, deviceMtuBytes }: NodeFacts, lab: Surroundings): LabNode {
  const node: LabNode = {
    ...createStation(id, insideNetns(netns), lab.env),
    netns,
    address: place.address,
    address6: place.address6,
    lan: place.lan,
    cut: () => lab.router.setPortUp(place, false),
    heal: () => lab.router.setPortUp(place, true),
    setMtu: (bytes) => lab.router.setPathMtu(place, bytes < deviceMtuBytes ? bytes : undefined),
    engine: (options) => startEngine(node, lab, options),
    daemon: (options) => startDaemon(node, lab, options),
  };
  return node;
}
