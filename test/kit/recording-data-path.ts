/** A data path that carries nothing and remembers everything: what the overlay wants programmed, and in which order. */

import type { Address } from '../../src/core/address.ts';
import type { Change } from '../../src/core/change.ts';
import { patch } from '../../src/core/change.ts';
import { entryKey, type ForwardingState } from '../../src/core/forwarding.ts';
import type { Vtep } from '../../src/core/model.ts';
import type { Vni } from '../../src/core/vni.ts';
import type { DataPath, DataPathEvent, PacketCounters } from '../../src/ports/data-path.ts';

export interface RecordingDataPath extends DataPath {
  /** What is programmed now; may be changed by a test, as someone at the machine would. */
  state: ForwardingState;
  /** What this node's VTEP has become; null: what it was at first. */
  own: Vtep | null;
  readonly withdrawn: string[];
  /** What containers have joined. */
  joined: ReadonlyMap<Vni, readonly Address[]> | null;
  /** Keys of rows that cannot be programmed. */
  readonly broken: Set<string>;
  emit(event: DataPathEvent): void;
  keys(): string[];
}

export function createRecordingDataPath(): RecordingDataPath {
  const waiting: DataPathEvent[] = [];
  let wake: () => void = () => undefined;
  const counters: PacketCounters = {
    encapsulated: { packets: 3, bytes: 300 },
    drop_vlan_tagged: { packets: 1, bytes: 60 },
  };

  const apply = (dataPath: RecordingDataPath, changes: readonly Change[]): void => {
    for (const change of changes) {
      if (dataPath.broken.has(entryKey(change.entry))) throw new Error(`${entryKey(change.entry)} is broken`);
      dataPath.state = patch(dataPath.state, [change]);
    }
  };
  async function* events(signal: AbortSignal): AsyncGenerator<DataPathEvent> {
    signal.addEventListener('abort', () => wake(), { once: true });
    while (!signal.aborted) {
      const event = waiting.shift();
      if (event !== undefined) yield event;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }

  const dataPath: RecordingDataPath = {
    kind: 'ebpf',
    reason: 'a test records it',
    state: new Map(),
    own: null,
    withdrawn: [],
    joined: new Map(),
    broken: new Set(),
    read: async () => dataPath.state,
    isIntact: async () => false,
    repairs: () => ({}),
    problems: () => [],
    apply: async (changes) => apply(dataPath, changes),
    interfacesOf: (id) => ({ hostInterface: `wh${id.slice(0, 12)}`, containerInterface: `wc${id.slice(0, 12)}` }),
    move: async (vtep) => {
      dataPath.own = vtep;
    },
    withdraw: async (vni, mac) => {
      dataPath.withdrawn.push(`${vni} ${mac}`);
    },
    counters: async () => counters,
    groups: async () => dataPath.joined,
    events,
    close: async () => undefined,
    emit(event) {
      waiting.push(event);
      wake();
    },
    keys: () => [...dataPath.state.keys()].sort(),
  };
  return dataPath;
}
