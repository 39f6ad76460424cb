/**
 * The eBPF data path as a subject of the contract: opened with one kind of attachment, damaged by hand behind its back, and
 * looked through for what it left. Damage is done to endpoint 2 and the networks of the contract's model.
 */

import { existsSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Vtep } from '../../src/core/model.ts';
import { type EbpfOptions, openEbpfDataPath } from '../../src/datapath/ebpf/data-path.ts';
import { schema } from '../../src/datapath/ebpf/names.ts';
import { fdbKey, fdbRecord, index, networkKey, vtepRecord } from '../../src/datapath/ebpf/records.ts';
import { removeEbpfDataPath } from '../../src/datapath/ebpf/remove.ts';
import {
  closeFd,
  detachClsact,
  type MapFd,
  mapDelete,
  mapEntries,
  mapUpdate,
  openPinnedMap,
} from '../../src/native/binding.ts';
import type { Netlink } from '../../src/netlink/netlink.ts';
import type { DataPath } from '../../src/ports/data-path.ts';
import type { DataPathSubject } from './data-path-subject.ts';
import { endpointId, testEndpoint, testNetwork } from './models.ts';
import { run } from './own-namespace.ts';

export interface EbpfPlace {
  readonly hook: 'tcx' | 'clsact';
  /** A bpf file system. */
  readonly bpfRoot: string;
  readonly self: Vtep;
  readonly netlink: Netlink;
}

const { vni } = testNetwork(1);

export function ebpfSubject({ hook, bpfRoot, self, netlink }: EbpfPlace): DataPathSubject {
  const bpfDir = join(bpfRoot, hook);
  const pinned = (...path: readonly string[]) => join(bpfDir, schema, ...path);
  const host = (dataPath: DataPath) => dataPath.interfacesOf(endpointId('1 2')).hostInterface;
  const ifindexOf = (name: string) => Number(JSON.parse(run('ip', '-j', 'link', 'show', name))[0].ifindex);
  const log: EbpfOptions['log'] = { debug: ignore, info: ignore, warn: ignore, error: ignore };

  function withMap<Result>(name: string, use: (map: MapFd) => Result): Result {
    const map = openPinnedMap(pinned('maps', name));
    if (map === null) throw new Error(`no pinned map ${name}`);
    try {
      return use(map);
    } finally {
      closeFd(map);
    }
  }

  const rows = (name: string) =>
    withMap(name, (map) =>
      mapEntries(map).map(([key, value]) => `${name} ${hex(key)} ${name === 'flood' ? '' : hex(value)}`),
    );

  function empty(name: string): void {
    withMap(name, (map) => {
      for (const [key] of mapEntries(map)) mapDelete(map, key);
    });
  }

  const damages: Record<string, (dataPath: DataPath) => void> = {
    'deleting an interface': (dataPath) => run('ip', 'link', 'delete', host(dataPath)),
    'setting an interface down': (dataPath) => run('ip', 'link', 'set', host(dataPath), 'down'),
    'deleting the row of a port': (dataPath) =>
      withMap('ports', (map) => mapDelete(map, index.encode(ifindexOf(host(dataPath))))),
    'forgetting the id of an endpoint': () => rmdirSync(pinned('endpoints', endpointId('1 2'))),
    'deleting a row of the forwarding table': () =>
      withMap('fdb', (map) => mapDelete(map, fdbKey.encode({ vni, mac: testEndpoint(1, 12).mac }))),
    'sending a MAC to an unknown interface': () =>
      withMap('fdb', (map) => {
        const target = { kind: 'local' as const, ifindex: 9_999 };
        mapUpdate(
          map,
          fdbKey.encode({ vni, mac: testEndpoint(1, 2).mac }),
          fdbRecord.encode({ target, isProvisional: false }),
        );
      }),
    'emptying the table of neighbours': () => empty('neighbours'),
    'emptying the table of peers': () => empty('peers'),
    'emptying the table of groups': () => empty('groups'),
    'deleting a network': () => withMap('networks', (map) => mapDelete(map, networkKey.encode(vni))),
    'deleting a flood list': () => withMap('flood', (map) => mapDelete(map, networkKey.encode(vni))),
    'wiping a VTEP': () => withMap('vteps', (map) => mapUpdate(map, index.encode(1), vtepRecord.encode(null))),
  };
  if (hook === 'tcx') damages['deleting a pinned link'] = (dataPath) => unlinkSync(pinned('links', host(dataPath)));
  else
    damages['deleting a filter'] = (dataPath) =>
      detachClsact({ ifindex: ifindexOf(host(dataPath)), handle: 0x7765_6674, priority: 1457 });

  return {
    name: `eBPF with ${hook} at ${self.address}`,
    damages,
    tunnelsTo: () => true,
    holds: () => true,
    open: () => openEbpfDataPath({ vtep: self, bpfDir, netlink, log, hook }),
    remove: async () => {
      await removeEbpfDataPath(bpfDir, netlink);
      const links = run('ip', '-o', 'link')
        .split('\n')
        .filter((line) => /: (wh|wc|weft)/.test(line));
      assert.equal(links, []);
      assert.not(existsSync(bpfDir));
    },
    learn: (network, mac, vtep) => {
      const id = withMap('vteps', (map) =>
        mapEntries(map).flatMap(([key, value]) =>
          vtepRecord.decode(value)?.address === vtep ? index.decode(key) : [],
        ),
      )[0];
      if (id === undefined) throw new Error(`no VTEP ${vtep}`);
      const learned = { target: { kind: 'remote' as const, vtepId: id }, isProvisional: true };
      withMap('fdb', (map) => mapUpdate(map, fdbKey.encode({ vni: network, mac }), fdbRecord.encode(learned)));
    },
    traces: () => {
      const used = rows('vteps').filter((row) => !/^vteps \S+ 0+$/.test(row));
      const tables = ['networks', 'peers', 'ports', 'fdb', 'neighbours', 'groups', 'members', 'flood'].flatMap(rows);
      const devices = run('ip', '-o', 'link').match(/(wh[0-9a-f]{12}|weft[0-9]+)(?=[@:])/g) ?? [];
      const pins = [...readdirSync(pinned('links')), ...readdirSync(pinned('endpoints'))];
      return [...used, ...tables, ...devices, ...pins]
        .filter((trace) => trace !== 'weft14789' && trace !== 'underlay')
        .sort();
    },
  };
}

function ignore(): void {}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
