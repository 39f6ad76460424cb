/** The commands that show what a running daemon knows: a table for people, the daemon's own JSON with --json. */

import type { Command } from 'commander';
import { type Answers, ask, type Question } from '../control/client.ts';
import { isOverlayError } from '../errors.ts';
import { environmentVariable, settings } from '../settings.ts';
import { statusScreen } from './status.ts';
import type { Surroundings } from './surroundings.ts';
import { endpointsTable, networksTable, nodesTable, peersTable } from './tables.ts';

interface Report<Name extends Question> {
  readonly question: Name;
  readonly description: string;
  readonly format: (answer: Answers[Name]) => string;
}

interface Flags {
  readonly controlSocket?: string;
  readonly json?: boolean;
}

/** Implementation: `weft version` is about this program; it does not wait long for a daemon to tell its own. */
const versionLimitMs = 1_000;

export function addReports(program: Command, surroundings: Surroundings): void {
  addReport(program, surroundings, {
    question: 'status',
    description: 'this node, its networks and peers, and what is wrong',
    format: statusScreen,
  });
  addReport(program, surroundings, { question: 'nodes', description: 'the nodes of the cluster', format: nodesTable });
  addReport(program, surroundings, {
    question: 'networks',
    description: 'the overlay networks this node has',
    format: networksTable,
  });
  addReport(program, surroundings, {
    question: 'endpoints',
    description: 'the endpoints of these networks, on all nodes',
    format: endpointsTable,
  });
  addReport(program, surroundings, {
    question: 'peers',
    description: 'the paths to the other nodes: reachability, MTU, round trip',
    format: peersTable,
  });
}

function addReport<Name extends Question>(program: Command, surroundings: Surroundings, report: Report<Name>): void {
  const { question, description, format } = report;
  const command = program.command(question).description(description).option('--json', 'print JSON');
  command.action(async () => {
    const flags = command.optsWithGlobals<Flags>();
    const answer = await ask(socketPath(flags, surroundings), question);
    surroundings.print(`${flags.json === true ? JSON.stringify(answer, null, 2) : format(answer)}\n`);
  });
}

/** This program's version, and the daemon's when one answers. */
export function addVersion(program: Command, version: string, surroundings: Surroundings): void {
  const command = program.command('version').description('the version of this program, and of the daemon if one runs');
  command.action(async () => {
    surroundings.print(`weft ${version}\n`);
    try {
      const daemon = await ask(socketPath(command.optsWithGlobals<Flags>(), surroundings), 'version', versionLimitMs);
      surroundings.print(`daemon ${daemon.version}\n`);
    } catch (error) {
      if (!isOverlayError(error, 'DAEMON_UNREACHABLE')) throw error;
    }
  });
}

function socketPath(flags: Flags, { environment }: Surroundings): string {
  const { flag, fallback } = settings.controlSocket;
  const inherited = environment[environmentVariable(flag)] ?? '';
  return flags.controlSocket ?? (inherited === '' ? fallback : inherited);
}
