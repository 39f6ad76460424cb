/** Verbs that note how they were called and answer what a test laid out for them. */

import { parseSubnet } from '../../../src/core/address.ts';
import { parseMac } from '../../../src/core/mac.ts';
import { parseVni } from '../../../src/core/vni.ts';
import type { PoolId, Verbs } from '../../../src/overlay/requests.ts';

export interface Call {
  readonly verb: keyof Verbs;
  readonly with: readonly unknown[];
}

export interface RecordingVerbs {
  readonly verbs: Verbs;
  readonly calls: Call[];
}

/** Each verb succeeds with a fixed answer unless `instead` has another for it. */
export function recordingVerbs(instead: Partial<Verbs> = {}): RecordingVerbs {
  const calls: Call[] = [];
  const answers: Verbs = {
    allocateNetwork: async (request) => request.vni ?? parseVni(4711),
    freeNetwork: async () => {},
    createNetwork: async () => {},
    deleteNetwork: async () => {},
    createEndpoint: async (request) => request.mac ?? parseMac('02:42:0a:4d:00:02'),
    join: async () => ({ interfaceName: 'wft0123456789a' }),
    leave: async () => {},
    deleteEndpoint: async () => {},
    endpointFacts: async () => ({ network: 'blue', vni: '4097' }),
    requestPool: async (request) => ({
      pool: 'blue|10.77.0.0/24|' as PoolId,
      subnet: request.subnet ?? parseSubnet('10.77.0.0/24'),
    }),
    releasePool: async () => {},
    requestAddress: async (request) => `${request.address ?? '10.77.0.2'}/24`,
    releaseAddress: async () => {},
    ...instead,
  };
  const noting =
    <Arguments extends readonly unknown[], Answer>(
      verb: keyof Verbs,
      answer: (...given: Arguments) => Promise<Answer>,
    ): ((...given: Arguments) => Promise<Answer>) =>
    (...given) => {
      calls.push({ verb, with: given });
      return answer(...given);
    };
  return {
    calls,
    verbs: {
      allocateNetwork: noting('allocateNetwork', answers.allocateNetwork),
      freeNetwork: noting('freeNetwork', answers.freeNetwork),
      createNetwork: noting('createNetwork', answers.createNetwork),
      deleteNetwork: noting('deleteNetwork', answers.deleteNetwork),
      createEndpoint: noting('createEndpoint', answers.createEndpoint),
      join: noting('join', answers.join),
      leave: noting('leave', answers.leave),
      deleteEndpoint: noting('deleteEndpoint', answers.deleteEndpoint),
      endpointFacts: noting('endpointFacts', answers.endpointFacts),
      requestPool: noting('requestPool', answers.requestPool),
      releasePool: noting('releasePool', answers.releasePool),
      requestAddress: noting('requestAddress', answers.requestAddress),
      releaseAddress: noting('releaseAddress', answers.releaseAddress),
    },
  };
}
