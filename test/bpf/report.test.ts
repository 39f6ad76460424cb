/** Membership reports (native/bpf/lib/report.h): what an endpoint has joined, in every version of IGMP and MLD, whole or broken. */

import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { enums, network, networkKey } from '../../src/datapath/ebpf/layout.gen.ts';
import { memberKey, memberRecord } from '../../src/datapath/ebpf/records.ts';
import * as bpf from '../../src/native/binding.ts';
import { patched } from '../kit/frame.ts';
import { type GroupRecord, igmp, igmpV3, joinedAt, mld, mldV2 } from '../kit/group-frames.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { b, dropped, fate, loadPrograms, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const rate = 40;
const limited = loadPrograms({ report_rate: rate });
const test = suite('report');
test.before.each(() => limited.reset());

const joined = () => joinedAt(limited, limited.indexes.a);
const reported = (frame: Uint8Array) => fate(limited.fromContainer(frame), 'drop', { GROUP_REPORTED: 1 });
const families = [
  {
    name: 'IGMPv3',
    report: igmpV3,
    group: (number: number) => `239.1.${number >> 8}.${number & 255}`,
    source: '10.9.9.9',
  },
  { name: 'MLDv2', report: mldV2, group: (number: number) => `ff15::${number}`, source: 'fd00::99' },
] as const;

test('a report of IGMPv1, IGMPv2 or MLDv1 joins, a leave or a farewell leaves at once', () => {
  reported(igmp(0x12, '239.1.2.3'));
  reported(igmp(0x16, '224.0.1.1'));
  reported(mld(131, 'ff15::42'));
  assert.equal(joined(), ['224.0.1.1', '239.1.2.3', 'ff15::42']);

  reported(igmp(0x17, '224.0.1.1'));
  reported(igmp(0x17, '239.1.2.4'));
  reported(mld(132, 'ff15::42'));
  assert.equal(joined(), ['239.1.2.3']);
});

for (const { name, report, group, source } of families) {
  test(`${name}: every kind of record means what it says`, () => {
    const records: readonly GroupRecord[] = [
      { type: 'isExclude', group: group(1) },
      { type: 'toExclude', group: group(2), sources: [source] },
      { type: 'isInclude', group: group(3), sources: [source, source] },
      { type: 'allow', group: group(4), sources: [source], auxiliary: 3 },
      { type: 'toInclude', group: group(5), sources: [source] },
      { type: 'isInclude', group: group(6) },
      { type: 'allow', group: group(7) },
      { type: 'block', group: group(8), sources: [source] },
      { type: 'toExclude', group: group(9) },
    ];
    reported(report(records));
    assert.equal(joined(), [1, 2, 3, 4, 5, 9].map(group));

    reported(
      report([
        { type: 'toInclude', group: group(1) },
        { type: 'block', group: group(4), sources: [source] },
        { type: 'isInclude', group: group(9) },
      ]),
    );
    assert.equal(joined(), [2, 3, 4, 5, 9].map(group));
  });

  test(`${name}: a record that runs out of the packet breaks the report, and those before it stand`, () => {
    const frame = report([
      { type: 'toExclude', group: group(1) },
      { type: 'toExclude', group: group(2), sources: [source] },
    ]);
    const lengthAt = name === 'IGMPv3' ? 16 : 18;
    const shortened = patched(frame.subarray(0, -2), lengthAt + 1, (frame[lengthAt + 1] ?? 0) - 2);
    dropped(limited.fromContainer(shortened), 'DROP_MALFORMED');
    assert.equal(joined(), [group(1)]);

    dropped(limited.fromContainer(frame.subarray(0, -2)), 'DROP_MALFORMED');
  });

  test(`${name}: an endpoint with very many groups gets them all, and others still have room`, () => {
    for (let first = 0; first < 200; first += 50) {
      const numbers = Array.from({ length: 50 }, (_, at) => first + at);
      reported(report(numbers.map((number) => ({ type: 'toExclude', group: group(1000 + number) }))));
    }
    assert.is(joined().length, 129);
    assert.ok(joined().includes('::'));

    fate(limited.fromContainer(igmp(0x16, '239.1.2.3', b), limited.indexes.b), 'drop', { GROUP_REPORTED: 1 });
    assert.equal(joinedAt(limited, limited.indexes.b), ['239.1.2.3']);
  });
}

test('groups of the link itself, and addresses that are no group, are not noted', () => {
  for (const group of ['224.0.0.251', '224.0.0.1', '10.0.0.1', '255.255.255.255']) reported(igmp(0x16, group));
  for (const group of ['ff02::fb', 'ff02::1:ff00:1', 'fd00::1', '::']) reported(mld(131, group));
  assert.equal(joined(), []);

  reported(mld(131, 'ff12::1'));
  assert.equal(joined(), ['ff12::1']);
});

test('a fragment of a report is none', () => {
  dropped(limited.fromContainer(patched(igmp(0x16, '239.1.2.3'), 20, 0x20, 0)), 'DROP_MALFORMED');
  dropped(limited.fromContainer(patched(igmp(0x16, '239.1.2.3'), 20, 0, 1)), 'DROP_MALFORMED');
  assert.equal(joined(), []);
});

test('MLD that has come over a router is none', () => {
  fate(limited.fromContainer(patched(mld(131, 'ff15::42'), 21, 2)), 'drop', { FLOODED: 1 });
  assert.equal(joined(), []);
});

test('who asks for members, or speaks PIM, is a router and gets everything', () => {
  for (const frame of [igmp(0x11, '224.0.0.1'), mld(130, 'ff02::1'), patched(igmp(0x16, '224.0.0.13'), 23, 103)]) {
    limited.reset();
    fate(limited.fromContainer(frame), 'drop', { FLOODED: 1 });
    assert.equal(joined(), ['::']);
  }
});

test('news is told, and a membership that is confirmed only becomes younger', () => {
  const news = ({ events }: ReturnType<typeof limited.fromContainer>) =>
    events.filter(({ kind }) => kind === enums.event_kind.EVENT_GROUPS).length;
  const key = memberKey.encode({ ifindex: limited.indexes.a, group: parseAddress('239.1.2.3') });
  const seenAt = () => memberRecord.decode(bpf.mapLookup(limited.map('members'), key) ?? new Uint8Array());

  assert.is(news(limited.fromContainer(igmp(0x16, '239.1.2.3'))), 1);
  const first = seenAt();
  assert.is(news(limited.fromContainer(igmp(0x16, '239.1.2.3'))), 0);
  assert.ok(seenAt() > first);
  assert.is(news(limited.fromContainer(igmp(0x17, '239.1.2.3'))), 1);
  assert.is(news(limited.fromContainer(igmp(0x17, '239.1.2.3'))), 0);
});

test('where a network carries no multicast nothing is noted', () => {
  bpf.mapUpdate(limited.map('networks'), networkKey.encode({ vni }), network.encode({ mtu: 1450, flags: 0 }));

  dropped(limited.fromContainer(igmp(0x16, '239.1.2.3')), 'DROP_MULTICAST_OFF');
  reported(mld(131, 'ff15::42'));
  assert.equal(joined(), []);
});

test('reports have a rate of their own', () => {
  const outcomes = Array.from({ length: 200 }, () => limited.fromContainer(igmp(0x16, '239.1.2.3')));

  const taken = outcomes.filter(({ counts }) => counts['GROUP_REPORTED'] === 1).length;
  const refused = outcomes.filter(({ counts }) => counts['DROP_RATE_LIMITED'] === 1).length;
  assert.is(taken + refused, outcomes.length);
  assert.ok(taken >= rate && refused > 0, `${taken} taken, ${refused} refused`);
});

test.run();
