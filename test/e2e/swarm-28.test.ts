import { testSwarm } from '../kit/e2e/swarm.ts';

testSwarm('28');
