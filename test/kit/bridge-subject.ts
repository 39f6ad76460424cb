/**
 * The bridge data path as a subject of the contract: damaged by hand behind its back, and looked through for what it left.
 * Damage is done to endpoint 2 and the networks of the contract's model.
 */

import * as assert from 'uvu/assert';
import { familyOf } from '../../src/core/address.ts';
import type { Vtep } from '../../src/core/model.ts';
import { openBridgeDataPath } from '../../src/datapath/bridge/data-path.ts';
import { removeBridgeDataPath } from '../../src/datapath/bridge/remove.ts';
import type { Netlink } from '../../src/netlink/netlink.ts';
import type { DataPath } from '../../src/ports/data-path.ts';
import type { DataPathSubject } from './data-path-subject.ts';
import { endpointId, testEndpoint, testNetwork } from './models.ts';
import { run } from './own-namespace.ts';

interface BridgePlace {
  readonly self: Vtep;
  readonly netlink: Netlink;
}

const { vni } = testNetwork(1);
const [bridge, tunnel] = [`wb${vni}`, `wx${vni}`];
const local = testEndpoint(1, 2).mac;
const remote = testEndpoint(1, 12).mac;

export function bridgeSubject({ self, netlink }: BridgePlace): DataPathSubject {
  const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
  return {
    name: 'bridge',
    damages,
    tunnelsTo: (vtep) => familyOf(vtep) === familyOf(self.address),
    // It floods all multicast, and its tunnels have one family.
    holds: (entry) =>
      !['group', 'path'].includes(entry.table) && (entry.table !== 'peer' || entry.source === entry.vtep),
    open: () => openBridgeDataPath({ vtep: self, netlink, log, because: 'it is under test' }),
    remove: async () => {
      await removeBridgeDataPath(netlink);
      assert.equal(devices(), []);
    },
    learn: (network, mac, vtep) => {
      run('bridge', 'fdb', 'replace', mac, 'dev', `wx${network}`, 'dst', vtep, 'self', 'dynamic');
      run('bridge', 'fdb', 'replace', mac, 'dev', `wx${network}`, 'master', 'dynamic');
    },
    traces: () => {
      const own = /\bw([bx][0-9]+|h[0-9a-f]{12})\b/;
      const rows = run('bridge', 'fdb', 'show')
        .split('\n')
        // A bridge has a row for each port's own address, and devices hear some groups.
        .filter((row) => own.test(row) && !/master \S+ permanent|^(01|33)/.test(row));
      const neighbours = run('ip', 'neighbour', 'show', 'nud', 'permanent').split('\n');
      const left = [...devices(), ...rows, ...neighbours].filter((trace) => !['', 'wb0', 'wx0'].includes(trace));
      return left.sort();
    },
  };
}

/** Several at once where one would show as well alone: a data path of its own for each takes about a second. */
const damages: Readonly<Record<string, (dataPath: DataPath) => void>> = {
  'deleting an interface': (dataPath) => run('ip', 'link', 'delete', host(dataPath)),
  'setting an interface down': (dataPath) => run('ip', 'link', 'set', host(dataPath), 'down'),
  'taking devices out of their bridges': (dataPath) => {
    for (const device of [host(dataPath), 'wx4098']) run('ip', 'link', 'set', device, 'nomaster');
  },
  'opening a port to all': (dataPath) => run('bridge', 'link', 'set', 'dev', host(dataPath), 'locked', 'off'),
  'keeping broadcasts from a port': (dataPath) =>
    run('bridge', 'link', 'set', 'dev', host(dataPath), 'bcast_flood', 'off'),
  'forgetting what an interface is for': (dataPath) => run('ip', 'link', 'set', host(dataPath), 'alias', 'mine'),
  "deleting a bridge, and another network's tunnel": () => {
    for (const device of [bridge, 'wx4098']) run('ip', 'link', 'delete', device);
  },
  'setting a bridge and a tunnel down': () => {
    for (const device of [bridge, 'wx4098']) run('ip', 'link', 'set', device, 'down');
  },
  'letting the host listen on a bridge': () => run('ip', 'link', 'set', bridge, 'mtu', '1500', 'arp', 'on'),
  'deleting a MAC from a bridge, and another from a tunnel': () => {
    run('bridge', 'fdb', 'delete', remote, 'dev', tunnel, 'master');
    run('bridge', 'fdb', 'delete', local, 'dev', tunnel, 'self');
  },
  'moving MACs elsewhere': () => {
    run('bridge', 'fdb', 'replace', remote, 'dev', tunnel, 'dst', '192.0.2.9', 'self');
    run('bridge', 'fdb', 'replace', local, 'dev', tunnel, 'master', 'static');
  },
  'emptying tables of neighbours, of peers and a flood list': () => {
    run('ip', 'neighbour', 'flush', 'dev', tunnel, 'nud', 'permanent');
    run('bridge', 'fdb', 'delete', '03:77:65:66:74:00', 'dev', tunnel);
    run('bridge', 'fdb', 'delete', '00:00:00:00:00:00', 'dev', tunnel);
  },
  'wiping a VTEP': () => run('bridge', 'fdb', 'delete', '00:00:00:00:00:00', 'dev', 'wx0', 'dst', '192.0.2.2'),
};

function host(dataPath: DataPath): string {
  return dataPath.interfacesOf(endpointId('1 2')).hostInterface;
}

function devices(): readonly string[] {
  return run('ip', '-o', 'link').match(/\bw(b[0-9]+|x[0-9]+|[hc][0-9a-f]{12})(?=[@:])/g) ?? [];
}

function ignore(): void {}
