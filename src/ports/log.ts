/** The part of a logger that Weft's code uses: fields first, then the event in the past tense. */

type Write = (fields: Readonly<Record<string, unknown>>, event: string) => void;

export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
}
