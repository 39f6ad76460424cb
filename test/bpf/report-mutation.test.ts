/**
 * Membership reports broken at random, held to a second reading of the RFCs in TypeScript: what is joined afterwards must be the
 * same, and every frame is counted once. The seed is printed and can be given again: WEFT_TEST_SEED=1234.
 */

import * as assert from 'uvu/assert';
import { type GroupRecord, igmp, igmpV3, joinedAt, mld, mldV2, recordTypes } from '../kit/group-frames.ts';
import { type Chance, chanceFrom } from '../kit/models.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { loadPrograms, verdicts } from '../kit/programs.ts';
import { isOfRouter, messageOf, type Saying, sayingsOf } from '../kit/report-reading.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const programs = loadPrograms({ bum_rate: 0, report_rate: 0, event_rate: 0 });
const test = suite('report mutation');

const frames = 800;
const seed = Number(process.env['WEFT_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
process.stdout.write(`seed ${seed}\n`);
const everything = '::';
const mostGroups = 128;

/** Few groups, so that reports meet what earlier ones joined. */
function randomFrame(chance: Chance): Uint8Array {
  const isIpv6 = chance(2) === 0;
  const group = () =>
    isIpv6 ? `ff${chance(2) === 0 ? '15' : '02'}::${chance(9)}` : `${chance(2) === 0 ? 239 : 224}.0.0.${chance(9)}`;
  const types = Object.keys(recordTypes) as (keyof typeof recordTypes)[];
  const records = Array.from({ length: chance(5) }, (): GroupRecord => {
    const sources = Array.from({ length: chance(3) }, () => (isIpv6 ? 'fd00::9' : '10.9.9.9'));
    return {
      type: types[chance(types.length)] ?? 'block',
      group: group(),
      sources,
      auxiliary: chance(8) === 0 ? 2 : 0,
    };
  });
  if (isIpv6) return chance(2) === 0 ? mldV2(records) : mld([131, 132][chance(2)] ?? 131, group());
  return chance(2) === 0 ? igmpV3(records) : igmp([0x12, 0x16, 0x17][chance(3)] ?? 0x16, group());
}

/** From the protocol on, so that the frame stays one of the endpoint's; the groups stay few. */
function broken(frame: Uint8Array, chance: Chance): Uint8Array {
  const copy = frame.slice(0, chance(4) === 0 ? Math.max(60, chance(frame.length)) : frame.length);
  for (let change = chance(4); change > 0; change -= 1) copy[14 + chance(copy.length - 14)] = chance(256);
  return copy;
}

function apply(sayings: readonly Saying[], joined: Set<string>): void {
  for (const { kind, group } of sayings) {
    if (kind === 'leave') joined.delete(group);
    else joined.add(joined.has(group) || joined.size < mostGroups ? group : everything);
  }
}

test('what is joined is what the reports say that are not broken', () => {
  programs.reset();
  const chance = chanceFrom(seed);
  const joined = new Set<string>();
  const fates = { GROUP_REPORTED: 0, DROP_MALFORMED: 0, FLOODED: 0 };
  for (let round = 0; round < frames; round += 1) {
    const frame = broken(randomFrame(chance), chance);
    const context = `seed ${seed}, round ${round}: ${Buffer.from(frame).toString('hex')}`;

    const { verdict, counts } = programs.fromContainer(frame);

    const [[fate, packets] = ['', 0], ...others] = Object.entries(counts);
    assert.equal([packets, others], [1, []], context);
    assert.ok(verdict === verdicts.drop || verdict === verdicts.redirect, context);
    if (fate in fates) fates[fate as keyof typeof fates] += 1;
    const message = messageOf(frame);
    if (fate === 'FLOODED' && isOfRouter(frame)) joined.add(everything);
    if (message !== null && (fate === 'GROUP_REPORTED' || fate === 'DROP_MALFORMED')) apply(sayingsOf(message), joined);
    assert.equal(joinedAt(programs, programs.indexes.a), [...joined].sort(), context);
  }
  assert.ok(
    Object.values(fates).every((times) => times > 0),
    JSON.stringify(fates),
  );
});

test.run();
