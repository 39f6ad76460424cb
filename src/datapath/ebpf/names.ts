/**
 * What this data path calls its things, beside the interfaces (../interfaces.ts). A name says what it is for, so that a
 * restart needs no other record:
 *
 *   weft<port>                     the collect-metadata vxlan device of a UDP port
 *   weft-headroom                  the bridge that carries nothing (headroom.ts)
 *
 *   <bpf dir>/v2/maps/<map>        the tables
 *   <bpf dir>/v2/flood/<vni>       the lists in the table flood
 *   <bpf dir>/v2/links/<device>    what holds a program to a device
 *   <bpf dir>/v2/endpoints/<id>/   an empty directory: the whole id of an endpoint that has a port here
 */

import { join } from 'node:path';

/**
 * Grows when records.h changes so that an old program cannot read a new map; takeover.ts then says how the tables of the
 * one before become those of this one.
 */
export const schema = 'v2';
export const formerSchema = 'v1';

export interface Directories {
  readonly root: string;
  readonly maps: string;
  readonly flood: string;
  readonly links: string;
  readonly endpoints: string;
}

export function directoriesOf(bpfDir: string, version: string = schema): Directories {
  const root = join(bpfDir, version);
  const below = (name: string) => join(root, name);
  return { root, maps: below('maps'), flood: below('flood'), links: below('links'), endpoints: below('endpoints') };
}

/** The number in the name of a schema's directory; null for a name that is not of this form. */
export function schemaNumber(directory: string): number | null {
  const digits = /^v([0-9]+)$/.exec(directory)?.[1];
  return digits === undefined ? null : Number(digits);
}

export const headroomBridge = 'weft-headroom';

export function tunnelName(port: number): string {
  return `weft${port}`;
}

/** Null for a name that is not of this form. */
export function tunnelPort(name: string): number | null {
  const digits = /^weft([1-9][0-9]{0,4})$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** A bpf file system allows no dot in a name, and VLAN devices have one. */
export function linkName(device: string): string {
  return device.replaceAll('%', '%25').replaceAll('.', '%2e');
}

export function deviceOfLink(name: string): string {
  return name.replaceAll('%2e', '.').replaceAll('%25', '%');
}
