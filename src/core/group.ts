/**
 * Multicast groups that endpoints have joined, as nodes tell each other. `::` stands for every group, and for what is
 * not known: whoever doubts what a node wants sends it everything.
 */

import { type Address, parseAddress } from './address.ts';

export const everyGroup: Address = parseAddress('::');

/** Implementation: what a node says of one network; its record is read by all others each time it changes. */
export const mostGroups = 128;

/** What a node publishes of the groups that its endpoints have joined: sorted, each once; all of them when there are too many. */
export function summarized(joined: Iterable<Address>): readonly Address[] {
  const groups = [...new Set(joined)].sort();
  return groups.length > mostGroups || groups.includes(everyGroup) ? [everyGroup] : groups;
}
