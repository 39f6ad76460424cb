/**
 * JSON lines on stderr: `time` in ISO 8601, `level` by name, the fields, and the event as `msg`. Written synchronously,
 * so that the last line before an exit is never lost. Secrets are cut out of the finished line: whatever field, error
 * text or URL they slipped into, they do not get out.
 */

import pino from 'pino';
import type { Log } from './ports/log.ts';

export interface LogSettings {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  /** In every line: several daemons may write into one journal. */
  readonly node: string;
  /** Texts that must never appear. */
  readonly secrets: readonly string[];
}

/** Where finished lines go. */
export interface LogSink {
  write(line: string): void;
}

/** Implementation: a shorter text is part of ordinary words; cutting it out would break the line and hide nothing. */
const shortestSecret = 8;

export function createLog({ level, node, secrets }: LogSettings, sink: LogSink = standardError()): Log {
  // The form a secret has inside a JSON string.
  const hidden = secrets
    .filter((text) => text.length >= shortestSecret)
    .map((text) => JSON.stringify(text).slice(1, -1));
  const write = (line: string): void =>
    sink.write(hidden.reduce((rest, text) => rest.replaceAll(text, '[secret]'), line));
  const logger = pino(
    {
      level,
      base: { node },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
      redact: { paths: ['token', 'storeToken', '*.token', '*.storeToken'], censor: '[secret]' },
    },
    { write },
  );
  return {
    debug: (fields, event) => logger.debug(fields, event),
    info: (fields, event) => logger.info(fields, event),
    warn: (fields, event) => logger.warn(fields, event),
    error: (fields, event) => logger.error(fields, event),
  };
}

function standardError(): LogSink {
  return pino.destination({ fd: 2, sync: true });
}
