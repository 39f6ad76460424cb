import * as assert from 'uvu/assert';
import { parseAddress } from '../../../src/core/address.ts';
import { everyGroup, mostGroups, summarized } from '../../../src/core/group.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('core/group');
const group = (number: number) => parseAddress(`ff15::${(number + 1).toString(16)}`);

test('groups are told sorted and once each, however many endpoints are in them', () => {
  assert.equal(summarized([group(2), group(1), group(2)]), [group(1), group(2)]);
  assert.equal(summarized([]), []);
});

test('who wants everything, or more than is told, is told to want everything', () => {
  const most = Array.from({ length: mostGroups }, (_, number) => group(number));

  assert.is(summarized(most).length, mostGroups);
  assert.equal(summarized([...most, group(mostGroups)]), [everyGroup]);
  assert.equal(summarized([group(1), everyGroup]), [everyGroup]);
});

test.run();
