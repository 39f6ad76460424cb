/**
 * Forwarding entries ↔ rows of the tables. Entries name endpoints and VTEPs, rows the indexes of interfaces and the ids
 * of slots; `Names` translates both ways. Pure but for that.
 *
 * What a row names and nothing has is shown as a stand-in that no desired entry can equal: an endpoint that is called by
 * its interface, the address `::`. So the ordinary diff puts such a row again or removes it.
 */

import { type Address, parseAddress } from '../../core/address.ts';
import type { ForwardingEntry, ForwardingTable } from '../../core/forwarding.ts';
import type { EndpointId } from '../../core/identity.ts';
import type { Vni } from '../../core/vni.ts';
import { overlayError } from '../../errors.ts';
import type { FdbKey, FdbRecord, GroupKey, PeerKey, Target } from './records.ts';

export type EntryOf<Name extends ForwardingTable> = Extract<ForwardingEntry, { table: Name }>;

/** Who is behind which number. */
export interface Names {
  indexOf(endpoint: EndpointId): number | null;
  endpointAt(index: number): EndpointId;
  idOf(vtep: Address): number | null;
  addressOf(id: number): Address | null;
}

/** @throws BPF_FAILED when what the entry names is not there: put it first */
export function fdbRow(names: Names, { vni, mac, at }: EntryOf<'mac'>): readonly [FdbKey, FdbRecord] {
  const target = at.kind === 'local' ? localTarget(names, at.endpoint) : remoteTarget(names, at.vtep);
  return [
    { vni, mac },
    { target, isProvisional: false },
  ];
}

/** Null for a provisional row. */
export function macEntry(
  names: Names,
  { vni, mac }: FdbKey,
  { target, isProvisional }: FdbRecord,
): EntryOf<'mac'> | null {
  if (isProvisional) return null;
  const at =
    target.kind === 'local'
      ? { kind: 'local' as const, endpoint: names.endpointAt(target.ifindex) }
      : { kind: 'remote' as const, vtep: addressOf(names, target.vtepId) };
  return { table: 'mac', vni, mac, at };
}

export function peerEntry(names: Names, { vni, source }: PeerKey, vtepId: number): EntryOf<'peer'> {
  return { table: 'peer', vni, source, vtep: addressOf(names, vtepId) };
}

/** Local copies first. @throws BPF_FAILED when what the entry names is not there */
export function floodCopies(names: Names, { endpoints, vteps }: EntryOf<'flood'>): readonly Target[] {
  return [
    ...endpoints.map((endpoint) => localTarget(names, endpoint)),
    ...vteps.map((vtep) => remoteTarget(names, vtep)),
  ];
}

export function floodEntry(names: Names, vni: Vni, copies: readonly Target[]): EntryOf<'flood'> {
  const endpoints = copies.flatMap((copy) => (copy.kind === 'local' ? names.endpointAt(copy.ifindex) : []));
  const vteps = copies.flatMap((copy) => (copy.kind === 'remote' ? addressOf(names, copy.vtepId) : []));
  return { table: 'flood', vni, endpoints: endpoints.sort(), vteps: vteps.sort() };
}

/** @throws BPF_FAILED */
export function groupRow(names: Names, { vni, group, vtep }: EntryOf<'group'>): GroupKey {
  return { vni, group, vtepId: vtepId(names, vtep) };
}

/** @throws BPF_FAILED */
export function vtepId(names: Names, vtep: Address): number {
  const id = names.idOf(vtep);
  if (id === null) throw missing(`VTEP ${vtep}`);
  return id;
}

function localTarget(names: Names, endpoint: EndpointId): Target & { readonly kind: 'local' } {
  const ifindex = names.indexOf(endpoint);
  if (ifindex === null) throw missing(`the port of endpoint ${endpoint}`);
  return { kind: 'local', ifindex };
}

function remoteTarget(names: Names, vtep: Address): Target & { readonly kind: 'remote' } {
  return { kind: 'remote', vtepId: vtepId(names, vtep) };
}

function addressOf(names: Names, id: number): Address {
  return names.addressOf(id) ?? parseAddress('::');
}

function missing(what: string) {
  const problem = `${what} is not there, and must be put before what refers to it`;
  return overlayError('BPF_FAILED', { operation: 'translating a forwarding entry', problem, errno: 'ENOENT' });
}
