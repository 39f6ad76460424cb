/** What the contract of data paths (test/contract) asks of an adapter. */

import type { Address } from '../../src/core/address.ts';
import type { ForwardingEntry } from '../../src/core/forwarding.ts';
import type { MacAddress } from '../../src/core/mac.ts';
import type { Vni } from '../../src/core/vni.ts';
import type { DataPath } from '../../src/ports/data-path.ts';

/** An adapter of the DataPath port, as the contract sees it. */
export interface DataPathSubject {
  readonly name: string;
  /** Whether it can tunnel to a VTEP from the contract's own, which is an IPv4 one. */
  tunnelsTo(vtep: Address): boolean;
  /** Whether the kernel holds what an entry says; others a data path keeps for as long as its process lives. */
  holds(entry: ForwardingEntry): boolean;
  open(): Promise<DataPath>;
  /** After this, nothing of it may be left. */
  remove(): Promise<void>;
  /** Makes a row that stands for a MAC seen behind a VTEP, which must be in the tables. */
  learn(vni: Vni, mac: MacAddress, vtep: Address): void;
  /** Ways to damage what belongs to an endpoint, by name. */
  readonly damages: Readonly<Record<string, (dataPath: DataPath) => void>>;
  /** Everything that stands for an entry, whatever table or device it is in. */
  traces(): readonly string[];
}
