/**
 * The commands' end of the control socket: ask, wait at most five seconds, parse. What parses (zod, most of a command's
 * load time) is loaded when there is an answer.
 */

import { request } from 'node:http';
import { messageOf, overlayError } from '../errors.ts';
import { type Answers, pathPrefix, type Question } from './protocol.ts';

export type { EndpointReport, NetworkReport, NodeReport, PeerReport, StatusReport } from '../overlay/report.ts';
export type { Answers, Question } from './protocol.ts';

/** Implementation: a report takes milliseconds; longer means that the daemon hangs. */
const answerLimitMs = 5_000;

interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * @throws DAEMON_UNREACHABLE when nobody answers in time
 * @throws DAEMON_FAILED when the answer is an error or makes no sense
 */
export async function ask<Name extends Question>(
  socketPath: string,
  question: Name,
  limitMs: number = answerLimitMs,
): Promise<Answers[Name]> {
  const raw = await get(socketPath, question, limitMs);
  const messages = await import('./messages.ts');
  const value = jsonOrNull(raw.text);
  if (raw.status !== 200) {
    const { data, success } = messages.refusal.safeParse(value);
    throw failed(socketPath, success ? data.error : `it answered with status ${raw.status}`);
  }
  const parsed = messages.answers[question].safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw failed(socketPath, `${question}.${issue?.path.join('.')}: ${issue?.message} (is it another version?)`);
  }
  // The schema of that very question; the compiler cannot see through the lookup.
  return parsed.data as Answers[Name];
}

function get(socketPath: string, question: Question, limitMs: number): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(limitMs);
    const unreachable = (error: Error): void => {
      const problem = signal.aborted ? `no answer within ${limitMs} ms` : messageOf(error);
      reject(overlayError('DAEMON_UNREACHABLE', { path: socketPath, problem }, { cause: error }));
    };
    const call = request({ socketPath, path: `${pathPrefix}${question}`, agent: false, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
      response.once('error', unreachable);
    });
    call.once('error', unreachable);
    call.end();
  });
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function failed(path: string, problem: string) {
  return overlayError('DAEMON_FAILED', { path, problem });
}
