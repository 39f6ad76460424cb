/** What a bridge does with one of its ports. Source: linux/if_link.h IFLA_BRPORT_*. */

import { type Attributes, type EncodedAttribute, readU8, u8 } from './attributes.ts';

export type BridgePort = {
  /** Takes down which MACs are behind the port. */
  readonly learning: boolean;
  /** Gets frames to MACs that nobody knows. */
  readonly unicastFlood: boolean;
  readonly multicastFlood: boolean;
  readonly broadcastFlood: boolean;
  /** Lets in only frames from MACs that are known to be behind it; null on kernels before 5.18, which cannot. */
  readonly locked: boolean | null;
};

/** Each is left alone where absent; `locked` does nothing on a kernel that cannot. */
export type BridgePortSetting = { readonly [Flag in keyof BridgePort]?: boolean };

/** Specification: linux/if_link.h. */
const attribute: Readonly<Record<keyof BridgePort, number>> = {
  learning: 8,
  unicastFlood: 9,
  multicastFlood: 27,
  broadcastFlood: 30,
  locked: 39,
};

export function decodeBridgePort(data: Attributes): BridgePort {
  const flag = (name: keyof BridgePort) => readU8(data, attribute[name]);
  const locked = flag('locked');
  return {
    learning: flag('learning') === 1,
    unicastFlood: flag('unicastFlood') === 1,
    multicastFlood: flag('multicastFlood') === 1,
    broadcastFlood: flag('broadcastFlood') === 1,
    locked: locked === null ? null : locked === 1,
  };
}

export function bridgePortAttributes(setting: BridgePortSetting): EncodedAttribute[] {
  const flags = Object.entries(setting) as [keyof BridgePort, boolean][];
  return flags.map(([name, isOn]) => u8(attribute[name], Number(isOn)));
}
