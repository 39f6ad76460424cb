/** Traffic among the tasks of a service: all to all, by name, and a loop of requests while something happens. */

import { eventually } from './command.ts';
import type { Docker } from './docker.ts';
import type { Swarm, SwarmNode, Task } from './swarm.ts';

/** A request of the loop that got no answer. */
export interface FailedRequest {
  /** Unix time in seconds. */
  readonly at: number;
  /** Where it went; empty: the name had no address. */
  readonly address: string;
}

export interface Requests {
  /** Ends the loop. */
  stop(): Promise<{ readonly sent: number; readonly failed: readonly FailedRequest[] }>;
}

/** Pairs of tasks that cannot ping each other in three tries, as "a -> address". */
export async function meshProblems(tasks: readonly Task[]): Promise<readonly string[]> {
  const waiting = [...tasks];
  const problems: string[] = [];
  const worker = async () => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
      const others = tasks.filter(({ container }) => container !== task?.container);
      const addresses = others.flatMap(({ address, address6 }) => [address, address6]).filter((each) => each !== '');
      const script = `for a in ${addresses.join(' ')}; do ok=; for n in 1 2 3; do busybox ping -c 1 -W 1 $a >/dev/null 2>&1 && ok=1 && break; done; [ "$ok" ] || echo $a; done`;
      const { stdout } = await task.exec(['sh', '-c', script], { timeoutMs: 120_000 });
      problems.push(
        ...stdout.split('\n').flatMap((lost) => (lost === '' ? [] : [`${task?.node.name}/${task?.name} -> ${lost}`])),
      );
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return problems;
}

/** RFC 1035 §2.3.4: an answer over UDP has 512 bytes, room for 19 addresses or so; engines up to 20.10 leave out the rest. */
const surelyAnswered = 16;

/** Waits until a name has the tasks' IPv4 addresses, as many as fit, and no other, to a container. */
export async function untilResolved(
  on: { readonly node: Docker; readonly container: string },
  name: string,
  tasks: readonly Task[],
): Promise<void> {
  const wanted = tasks.map(({ address }) => address).sort();
  let found: readonly string[] = [];
  const isSo = async () => {
    found = await resolve(on, name);
    const isComplete = found.length >= Math.min(wanted.length, surelyAnswered);
    return isComplete && found.every((address) => wanted.includes(address));
  };
  await eventually(`${name} has the addresses ${wanted.join(' ')}`, isSo, { limitMs: 60_000, everyMs: 500 }).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}; it has ${found.join(' ') || 'none'}`);
    },
  );
}

/** By the engine's own name server, which alone knows names of the swarm. */
async function resolve(
  { node, container }: { readonly node: Docker; readonly container: string },
  name: string,
): Promise<readonly string[]> {
  const said = await node.docker(`exec ${container}`, 'sh', '-c', `nslookup -type=a ${name} 127.0.0.11 || true`);
  const answers = said.slice(said.indexOf(name));
  return [...answers.matchAll(/^Address(?: \d+)?: (\S+)$/gm)].map(([, address]) => address ?? '').sort();
}

/** The server that tasks run, and how long it goes on after swarm has asked it to end. */
export const server = ['sh', '-c', 'mkdir -p /srv; echo here > /srv/index.html; exec busybox httpd -f -p 80 -h /srv'];

/**
 * Asks a service by its name, again and again, from a container of the network: each time the name is looked up and the
 * first of its addresses is asked, as a client without any retry does.
 */
export async function startRequests(node: SwarmNode, container: string, service: string): Promise<Requests> {
  const loop = `
    rm -f /tmp/stop; : > /tmp/log
    while [ ! -e /tmp/stop ]; do
      a=$(nslookup -type=a ${service} 127.0.0.11 2>/dev/null | sed -n '/^Name/,$s/^Address[^:]*: //p' | head -n 1)
      if [ -n "$a" ] && printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 1 $a 80 2>/dev/null | grep -q here; then r=ok; else r=failed; fi
      echo "$(date +%s) $r $a" >> /tmp/log
    done`;
  await node.docker(`exec --detach ${container}`, 'sh', '-c', loop);
  return {
    async stop() {
      const said = await node.docker(`exec ${container}`, 'sh', '-c', 'touch /tmp/stop; sleep 2; cat /tmp/log');
      const lines = said.split('\n').map((line) => line.split(' '));
      const failed = lines.filter(([, outcome]) => outcome === 'failed');
      return { sent: lines.length, failed: failed.map(([at, , address = '']) => ({ at: Number(at), address })) };
    },
  };
}

/** A task's container started or was asked to end, by the engines' word. */
export interface TaskEvent {
  readonly at: number;
  readonly kind: 'start' | 'kill' | 'die';
  readonly container: string;
}

/** What happened to the tasks of a service since a moment (Unix time in seconds), on all nodes. */
export async function taskEvents(swarm: Swarm, service: string, since: number): Promise<readonly TaskEvent[]> {
  const filters = ['start', 'kill', 'die'].map((event) => `--filter event=${event}`).join(' ');
  const label = `--filter label=com.docker.swarm.service.name=${service}`;
  const until = Math.ceil(Date.now() / 1_000);
  const words = `events --since ${since} --until ${until} ${filters} ${label} --format`;
  const said = await Promise.all(swarm.nodes.map((node) => node.docker(words, '{{.Time}} {{.Action}} {{.ID}}')));
  return said
    .join('\n')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' '))
    .map(([at, kind, container = '']) => ({ at: Number(at), kind: kind as TaskEvent['kind'], container }));
}
