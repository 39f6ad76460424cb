import { spawn } from 'node:child_process';
import { once } from 'node:events';
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

test('a process that has ended is dead, and so is one nobody has waited for', async () => {
  const shell = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await once(shell.stdout, 'data');
  const zombie = Number(String(output).trim());
  await new Promise((resolve) => setTimeout(resolve, 200));

  assert.not(isProcessAlive({ ...ownProcess(), pid: zombie }));

  shell.kill('SIGKILL');
  await once(shell, 'exit');
  assert.not(isProcessAlive({ ...ownProcess(), pid: shell.pid ?? 0 }));
});

test.run();
