/**
 * The control protocol: HTTP/1.1 on a unix socket, `GET /v1/QUESTION`, answered with JSON. 200 carries the answer,
 * anything else `{ "error": TEXT }`. The version in the path changes when an answer loses or redefines a field.
 */

import type { EndpointReport, NetworkReport, NodeReport, PeerReport, StatusReport } from '../overlay/report.ts';

export interface Answers {
  readonly status: StatusReport;
  readonly nodes: readonly NodeReport[];
  readonly networks: readonly NetworkReport[];
  readonly endpoints: readonly EndpointReport[];
  readonly peers: readonly PeerReport[];
  readonly version: { readonly version: string };
}

export type Question = keyof Answers;

export const pathPrefix = '/v1/';
