/**
 * A data path in a process of its own, for tests that kill one: run it in a node's network namespace with
 * `BPF_DIR VTEP_ADDRESS[,ADDRESS] PORT tcx|clsact|bridge [QUIET_MS]`, the last for how long a former VTEP is kept without packets. Each
 * line on standard input is a request, each line on standard output its answer; the first says that it is open.
 * `{"desired": entries}` brings the kernel to these entries, `{"model": model}` keeps it there, looking every half second;
 * `{"move": vtep}` brings the node to another VTEP.
 */

import { createInterface } from 'node:readline';
import { type Address, parseAddress } from '../../src/core/address.ts';
import { diff } from '../../src/core/change.ts';
import { type ForwardingEntry, stateOf } from '../../src/core/forwarding.ts';
import type { Model, Vtep } from '../../src/core/model.ts';
import { vtepOf } from '../../src/core/vtep.ts';
import { chooseDataPath } from '../../src/datapath/select.ts';
import { messageOf } from '../../src/errors.ts';
import { openNetlink } from '../../src/netlink/netlink.ts';
import { createReconciler, type Reconciler } from '../../src/overlay/reconciler.ts';
import type { DataPath } from '../../src/ports/data-path.ts';

export type Request =
  | { readonly desired: readonly ForwardingEntry[] }
  | { readonly model: Model }
  | { readonly move: Vtep }
  | { readonly ask: 'state' | 'counters' | 'events' | 'repairs' | 'reopen' | 'close' };

const auditMs = 500;

const [bpfDir = '', addresses = '', port = '', kind = '', quietMs] = process.argv.slice(2);
const tell = (answer: unknown) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const write = (fields: unknown, event: string) => void process.stderr.write(`${event} ${JSON.stringify(fields)}\n`);
const netlink = await openNetlink();
const events: unknown[] = [];
const kept: Reconciler[] = [];
let opened = await open();
tell({ reason: opened.dataPath.reason });

for await (const line of createInterface({ input: process.stdin })) {
  tell(
    await answer(opened.dataPath, JSON.parse(line) as Request).catch((error: unknown) => ({ error: messageOf(error) })),
  );
}
for (const reconciler of kept) await reconciler.close();
await opened.close();
await netlink.close();

async function open() {
  const dataPath = await chooseDataPath(kind === 'bridge' ? 'bridge' : 'ebpf', {
    vtep: vtepOf(addresses.split(',').map(parseAddress) as [Address], Number(port)),
    bpfDir,
    netlink,
    log: { debug: () => {}, info: () => {}, warn: write, error: write },
    hook: kind === 'clsact' ? 'clsact' : 'tcx',
    keepMs: auditMs,
    ...(quietMs === undefined ? {} : { formerQuietMs: Number(quietMs) }),
  });
  const ended = new AbortController();
  const listening = gather(dataPath, ended.signal);
  const close = async () => {
    ended.abort();
    await listening;
    await dataPath.close();
  };
  return { dataPath, close };
}

async function gather(dataPath: DataPath, signal: AbortSignal): Promise<void> {
  for await (const event of dataPath.events(signal)) {
    events.push(event);
    if (event.kind === 'drift') for (const reconciler of kept) reconciler.suspect();
  }
}

async function answer(dataPath: DataPath, request: Request): Promise<unknown> {
  if ('desired' in request) {
    const changes = diff(stateOf(request.desired), await dataPath.read());
    await dataPath.apply(changes);
    return { changes: changes.length };
  }
  if ('model' in request) {
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: write };
    const reconciler = createReconciler(dataPath, () => request.model, log, auditMs);
    kept.push(reconciler);
    return { started: await reconciler.start() };
  }
  if ('move' in request) return { moved: await dataPath.move(request.move) };
  if (request.ask === 'reopen') {
    await opened.close();
    opened = await open();
    return { reason: opened.dataPath.reason };
  }
  if (request.ask === 'repairs') return { repairs: kept[0]?.repairs(), problems: kept[0]?.problems() };
  if (request.ask === 'state') return { state: [...(await dataPath.read()).values()] };
  if (request.ask === 'counters') return { counters: await dataPath.counters() };
  if (request.ask === 'events') return { events: events.splice(0) };
  return { closed: await dataPath.close() };
}
