/** Aligned text: columns as wide as their widest cell, two spaces apart, numbers to the right. No colour, no boxes. */

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string | number;
}

/** One line per row below a line of titles; no line has spaces at its end. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row)));
  const lines = [columns.map(({ title }) => title), ...cells];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => width(line[index]))));
  const isNumeric = columns.map(
    (_, index) => cells.length > 0 && cells.every((line) => typeof line[index] === 'number'),
  );
  return lines
    .map((line) =>
      line
        .map((cell, index) => pad(cell, widths[index] ?? 0, isNumeric[index] ?? false))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `name   value` pairs, values below each other. */
export function formatFacts(facts: ReadonlyArray<readonly [name: string, value: string]>): string {
  const widest = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${name.padEnd(widest)}  ${value}`.trimEnd()).join('\n');
}

export function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ');
}

/** In order of code points, numbers in names by value: node2 before node10. */
export function sortBy<Row>(rows: readonly Row[], key: (row: Row) => string): Row[] {
  const order = new Intl.Collator('en', { numeric: true });
  return [...rows].sort((one, other) => order.compare(key(one), key(other)));
}

function width(cell: string | number | undefined): number {
  return String(cell ?? '').length;
}

function pad(cell: string | number, columns: number, isNumeric: boolean): string {
  return isNumeric ? String(cell).padStart(columns) : String(cell).padEnd(columns);
}
