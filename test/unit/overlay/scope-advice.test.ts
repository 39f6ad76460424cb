import * as assert from 'uvu/assert';
import type { EngineReport } from '../../../src/overlay/report.ts';
import { type Scope, scopeAdvice } from '../../../src/overlay/scope-advice.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('overlay/scope-advice');
const engine = (version: string, swarm: string): EngineReport => ({
  state: 'connected',
  version,
  swarm,
  problem: null,
});

test('a scope that does not fit the engine is told, as a problem only where networks are refused', () => {
  const cases: ReadonlyArray<readonly [Scope, EngineReport, problems: number, notes: number]> = [
    ['local', engine('20.10.24+dfsg1', 'inactive'), 0, 0],
    ['local', engine('28.5.2', 'worker'), 0, 1],
    ['local', engine('28.5.2', 'manager'), 0, 1],
    ['local', engine('28.5.2', 'pending'), 0, 0],
    ['global', engine('20.10.24+dfsg1', 'inactive'), 1, 0],
    ['global', engine('28.5.2', 'inactive'), 0, 1],
    ['global', engine('28.5.2', 'manager'), 0, 0],
    ['global', { state: 'unknown', version: null, swarm: null, problem: 'x' }, 0, 0],
    ['global', { state: 'off', version: null, swarm: null, problem: null }, 0, 0],
  ];
  for (const [scope, report, problems, notes] of cases) {
    const advice = scopeAdvice(scope, report);

    assert.equal([advice.problems.length, advice.notes.length], [problems, notes], `${scope} ${report.swarm}`);
  }
});

test.run();
