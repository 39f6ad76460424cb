import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { isProcessAlive, ownProcess } from '../../../src/store/process.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('who a process is');

test('this process is alive; one of another start or boot with its id is not', () => {
  const own = ownProcess();

  assert.ok(isProcessAlive(own));
  assert.not(isProcessAlive({ ...own, started: `${Number(own.started) + 1}` }));
  assert.not(isProcessAlive({ ...own, boot: 'another' }));
});

test('a process that has ended is dead, also while nobody has waited for it', async () => {
  const shell = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await once(shell.stdout, 'data');
  const zombie = Number(String(output).trim());
  await new Promise((resolve) => setTimeout(resolve, 200));

  const stat = readFileSync(`/proc/${zombie}/stat`, 'utf8');
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  assert.is(state, 'Z');
  assert.not(isProcessAlive({ ...ownProcess(), pid: zombie, started: rest[18] ?? '' }));

  shell.kill('SIGKILL');
  await once(shell, 'exit');
});

test.run();
