import { createLab } from '../kit/lab.ts';
import { readLmdb, readNode, remainsOf, requireNothingLeft } from '../kit/node-state.ts';
import { createHand } from '../kit/plugin-client.ts';

const lab = await createLab();
try {
  const host = await lab.node();
  const daemon = await host.daemon({ store: lab.embeddedStore });
  const hand = createHand(host, daemon);
  const store = await readLmdb(lab.embeddedStore);
  const n = await hand.createNetwork({ subnet: '10.77.0.0/24' });
  const c = await hand.run(n);
  console.log(JSON.stringify(await readNode(host, daemon, store), null, 1).slice(0, 6000));
  await hand.remove(c);
  await hand.removeNetwork(n);
  await requireNothingLeft(host, daemon, store);
  console.log(remainsOf(await readNode(host, daemon, store)));
  await store.close();
} finally {
  await lab.close();
}
