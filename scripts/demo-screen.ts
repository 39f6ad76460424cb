/**
 * What the demo shows: steps with the time since the start, the commands of a step as a user would type them, what
 * they said, and findings. Plain lines, so that a pipe gets the same text; colours on a terminal only.
 */

export interface Screen {
  /** A step begins. */
  step(title: string): void;
  /** A command, behind the name of the machine or container it runs on. */
  command(where: string, argv: readonly string[]): void;
  /** What a command said. */
  output(text: string): void;
  /** What came of a step. */
  finding(text: string): void;
  /** Seconds since the start. */
  seconds(): number;
}

const codes = { bold: '\u001b[1m', dim: '\u001b[2m', green: '\u001b[32m', plain: '\u001b[0m' } as const;
const margin = ' '.repeat(10);

export function createScreen(out: NodeJS.WriteStream): Screen {
  const start = performance.now();
  const hasColours = out.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  const paint = (style: keyof typeof codes, text: string) =>
    hasColours ? `${codes[style]}${text}${codes.plain}` : text;
  const seconds = () => (performance.now() - start) / 1000;
  const lines = (text: string, style: keyof typeof codes) => {
    for (const line of text.split('\n')) out.write(`${line === '' ? '' : margin}${paint(style, line)}\n`);
  };
  return {
    step: (title) => void out.write(`\n${`${seconds().toFixed(1)} s`.padStart(8)}  ${paint('bold', title)}\n`),
    command: (where, argv) => lines(`${where} # ${argv.join(' ')}`, 'plain'),
    output: (text) => lines(text, 'dim'),
    finding: (text) => lines(`=> ${text}`, 'green'),
    seconds,
  };
}
