/**
 * What carries packets: eBPF, or the kernel's bridge and vxlan device; one contract. It holds tables and knows
 * nothing of Docker, nodes or the store. It survives the process: what was applied keeps forwarding when the daemon
 * is gone, and `read` finds it again.
 */

import type { Address } from '../core/address.ts';
import type { Change } from '../core/change.ts';
import type { ForwardingState } from '../core/forwarding.ts';
import type { EndpointId } from '../core/identity.ts';
import type { MacAddress } from '../core/mac.ts';
import type { Vtep } from '../core/model.ts';
import type { Vni } from '../core/vni.ts';

export type DataPathEvent =
  /** A container asked for an address, or sent to a MAC, that no table has. */
  | { readonly kind: 'miss'; readonly vni: Vni; readonly address: Address | null; readonly mac: MacAddress | null }
  /** A frame of an unknown MAC came from a known VTEP and was let in for now. */
  | { readonly kind: 'provisional'; readonly vni: Vni; readonly mac: MacAddress; readonly vtep: Address }
  /** Containers of this node have joined or left multicast groups. */
  | { readonly kind: 'groups' }
  /** Route, device or MTU to a VTEP are others than before: its path is worth a look. */
  | { readonly kind: 'moved'; readonly vtep: Address }
  /** Something in the kernel changed that this data path owns or depends on: audit soon. */
  | { readonly kind: 'drift'; readonly what: string };

/** Packets and bytes by outcome; a name starting with `drop_` is a packet not delivered. */
export type PacketCounters = Readonly<Record<string, { readonly packets: number; readonly bytes: number }>>;

/** The interface a container gets: `containerInterface` lies in the daemon's namespace until Docker moves it. */
export interface PortInterfaces {
  readonly hostInterface: string;
  readonly containerInterface: string;
}

export interface DataPath {
  readonly kind: 'ebpf' | 'bridge';
  /** Why this one was chosen, for status. */
  readonly reason: string;
  /** The tables as the kernel has them now, read afresh; provisional entries are left out. */
  read(): Promise<ForwardingState>;
  /** Whether the kernel has what the last `read` saw, and nothing was applied since: far cheaper than reading. */
  isIntact(): Promise<boolean>;
  /** How often something that no entry describes (a device, a program, a pin) was put right since opening, by kind. */
  repairs(): Readonly<Record<string, number>>;
  /** What it cannot put right by itself, one sentence each with the remedy. */
  problems(): readonly string[];
  /**
   * Brings the kernel to the changed state, in the given order. Idempotent: putting what is there and removing what is
   * not are success. Putting a port creates its interfaces, removing it deletes them. @throws on the first change that
   * cannot be made; the ones before it stand, the caller reads and diffs again.
   */
  apply(changes: readonly Change[]): Promise<void>;
  interfacesOf(endpoint: EndpointId): PortInterfaces;
  /** From now on this node's own VTEP is this one. The former is received on for as long as packets come to it. */
  move(vtep: Vtep): Promise<void>;
  /** Drops a provisional entry that the control plane could not confirm. No-op when it has become a real one. */
  withdraw(vni: Vni, mac: MacAddress): Promise<void>;
  /**
   * The multicast groups that containers of this node have joined, `::` for all; a network without any is left out. Null:
   * this data path does not know, and takes every group.
   */
  groups(): Promise<ReadonlyMap<Vni, readonly Address[]> | null>;
  counters(): Promise<PacketCounters>;
  events(signal: AbortSignal): AsyncIterable<DataPathEvent>;
  /** Lets go of handles; forwarding goes on. */
  close(): Promise<void>;
}
