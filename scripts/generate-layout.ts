/**
 * Writes src/datapath/ebpf/layout.gen.ts: sizes, offsets, enums and codecs of the structs that user space shares with the
 * eBPF programs, read from the BTF of the compiled object. native/bpf/lib/records.h is the only truth; nothing is kept in
 * step by hand.
 *
 *   generate-layout.ts           builds the object and writes the file
 *   generate-layout.ts --check   exits 1 when the file differs from what would be written
 *
 * What is taken: keys and values of the maps, the structs no map declares (`undeclared`), and every enum they mention.
 * Fields named `spare` are padding and left out. `__be32` and arrays are bytes, `__be16` a number, `__u64` a bigint.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface BtfMember {
  readonly name: string;
  readonly type_id: number;
  readonly bits_offset: number;
}

interface BtfType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly type_id?: number;
  readonly nr_elems?: number;
  readonly members?: readonly BtfMember[];
  readonly values?: readonly { readonly name: string; readonly val: number }[];
  readonly vars?: readonly { readonly type_id: number }[];
}

interface Field {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly form: 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'bytes' | 'enum';
  readonly enumeration: string | null;
}

interface Struct {
  readonly name: string;
  readonly size: number;
  readonly fields: readonly Field[];
}

/** A ring buffer and the inner maps of a map of maps declare no types. */
const undeclared = ['event', 'flood_entry'];
const reasonBound = 'REASON_COUNT';
const firstDrop = 'DROP_NO_ENDPOINT';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const output = join(root, 'src', 'datapath', 'ebpf', 'layout.gen.ts');

function main(flags: readonly string[]): number {
  if (flags.some((flag) => flag !== '--check')) return fail('usage: generate-layout.ts [--check]', 2);
  run('make', '-s', '-C', join(root, 'native'), 'bpf');
  const types: readonly BtfType[] = JSON.parse(run('bpftool', '-j', 'btf', 'dump', 'file', objectPath())).types;
  const text = render(types);
  if (!flags.includes('--check')) writeFileSync(output, text);
  else if (read(output) !== text) return fail(`${output} does not match the object; run scripts/generate-layout.ts`, 1);
  return 0;
}

function objectPath(): string {
  return join(root, 'native', 'build', 'overlay.bpf.o');
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stderr}`);
  return stdout;
}

function fail(message: string, code: number): number {
  process.stderr.write(`${message}\n`);
  return code;
}

function render(types: readonly BtfType[]): string {
  const graph = new Map(types.map((type) => [type.id, type]));
  const names = [...new Set([...mapStructs(types, graph), ...undeclared])].sort();
  const structs = names.map((name) => structOf(graph, named(types, name)));
  const mentioned = new Set(structs.flatMap(({ fields }) => fields.flatMap((field) => field.enumeration ?? [])));
  const enumerations = [...mentioned].sort().map((name) => named(types, name));
  const sections = [preamble, renderLayout(structs), renderEnums(enumerations), renderReasons(), codecs];
  return `${[...sections, ...structs.map(renderCodec)].join('\n\n')}\n`;
}

/** Names of the structs that are keys or values of maps: `.maps` holds a variable per map, its type has a pointer to each. */
function mapStructs(types: readonly BtfType[], graph: ReadonlyMap<number, BtfType>): string[] {
  const section = types.find(({ kind, name }) => kind === 'DATASEC' && name === '.maps');
  const maps = (section?.vars ?? []).map(({ type_id }) => target(graph, target(graph, at(graph, type_id))));
  return maps
    .flatMap(({ members }) => members ?? [])
    .filter(({ name }) => name === 'key' || name === 'value')
    .map(({ type_id }) => target(graph, target(graph, at(graph, type_id))))
    .filter(({ kind }) => kind === 'STRUCT')
    .map(({ name }) => name);
}

function at(graph: ReadonlyMap<number, BtfType>, id: number): BtfType {
  const type = graph.get(id);
  if (type === undefined) throw new Error(`BTF has no type ${id}`);
  return type;
}

function named(types: readonly BtfType[], name: string): BtfType {
  const type = types.find((candidate) => candidate.name === name && ['STRUCT', 'ENUM'].includes(candidate.kind));
  if (type === undefined) throw new Error(`BTF has no struct or enum ${name}`);
  return type;
}

/** What a variable, pointer or qualifier stands for; any other type itself. */
function target(graph: ReadonlyMap<number, BtfType>, type: BtfType): BtfType {
  const passes = ['VAR', 'PTR', 'CONST', 'VOLATILE'].includes(type.kind);
  return passes && type.type_id !== undefined ? at(graph, type.type_id) : type;
}

function structOf(graph: ReadonlyMap<number, BtfType>, { name, size = 0, members = [] }: BtfType): Struct {
  const fields = members
    .filter((member) => !member.name.startsWith('spare'))
    .map((member) => ({
      name: member.name,
      offset: member.bits_offset / 8,
      ...shape(at(graph, member.type_id), graph),
    }));
  return { name, size, fields };
}

function shape(type: BtfType, graph: ReadonlyMap<number, BtfType>): Pick<Field, 'size' | 'form' | 'enumeration'> {
  if (type.kind === 'ENUM') return { size: type.size ?? 4, form: 'enum', enumeration: type.name };
  if (type.kind === 'ARRAY') {
    const element = shape(at(graph, type.type_id ?? 0), graph);
    return { size: element.size * (type.nr_elems ?? 0), form: 'bytes', enumeration: null };
  }
  const scalar = scalars[type.name];
  if (scalar === undefined) throw new Error(`a field of type ${type.kind} ${type.name} has no form in TypeScript`);
  return { ...scalar, enumeration: null };
}

const scalars: Readonly<Record<string, Pick<Field, 'size' | 'form'>>> = {
  __u8: { size: 1, form: 'u8' },
  __u16: { size: 2, form: 'u16' },
  __u32: { size: 4, form: 'u32' },
  __u64: { size: 8, form: 'u64' },
  __be16: { size: 2, form: 'be16' },
  __be32: { size: 4, form: 'bytes' },
};

function renderLayout(structs: readonly Struct[]): string {
  const rows = structs.map(({ name, size, fields }) => {
    const inner = fields.map((field) => `      ${field.name}: { offset: ${field.offset}, size: ${field.size} },`);
    return `  ${name}: {\n    size: ${size},\n    fields: {\n${inner.join('\n')}\n    },\n  },`;
  });
  return `/** Sizes and offsets in bytes, by the names of C. */\nexport const layout = {\n${rows.join('\n')}\n} as const;`;
}

function renderEnums(enumerations: readonly BtfType[]): string {
  const rows = enumerations.map(({ name, values = [] }) => {
    const inner = values.map((value) => `    ${value.name}: ${value.val},`);
    return `  ${name}: {\n${inner.join('\n')}\n  },`;
  });
  return `/** By the names of C. */\nexport const enums = {\n${rows.join('\n')}\n} as const;`;
}

function renderReasons(): string {
  return `/** Every fate of a frame that is counted, by its index in \`counters\`. */
export const reasons: readonly { readonly code: number; readonly name: string; readonly isDrop: boolean }[] =
  Object.entries(enums.reason)
    .filter(([name]) => name !== '${reasonBound}')
    .map(([name, code]) => ({ code, name, isDrop: code >= enums.reason.${firstDrop} }));`;
}

function renderCodec({ name, size, fields }: Struct): string {
  const type = camel(`_${name}`);
  const keys = fields.map((field) => camel(field.name));
  const declared = fields.map((field) => `  readonly ${camel(field.name)}: ${typeOf(field)};`);
  const encoded = fields.map((field) => `    ${encodeOf(field)};`);
  const decoded = fields.map((field) => `      ${camel(field.name)}: ${decodeOf(field)},`);
  return `export interface ${type} {\n${declared.join('\n')}\n}

export const ${camel(name)}: Codec<${type}> = {
  size: ${size},
  encode({ ${keys.join(', ')} }) {
    const view = new DataView(new ArrayBuffer(${size}));
${encoded.join('\n')}
    return new Uint8Array(view.buffer);
  },
  decode(bytes) {
    const view = viewOf(bytes, ${size});
    return {
${decoded.join('\n')}
    };
  },
};`;
}

function typeOf({ form }: Field): string {
  return form === 'bytes' ? 'Uint8Array' : form === 'u64' ? 'bigint' : 'number';
}

function encodeOf({ name, offset, size, form }: Field): string {
  const value = camel(name);
  if (form === 'bytes') return `put(view, ${offset}, ${size}, ${value})`;
  return `view.set${accessors[form].method}(${offset}, ${value}${accessors[form].order})`;
}

function decodeOf({ offset, size, form }: Field): string {
  if (form === 'bytes') return `bytes.slice(${offset}, ${offset + size})`;
  return `view.get${accessors[form].method}(${offset}${accessors[form].order})`;
}

const accessors = {
  u8: { method: 'Uint8', order: '' },
  u16: { method: 'Uint16', order: ', true' },
  u32: { method: 'Uint32', order: ', true' },
  enum: { method: 'Uint32', order: ', true' },
  u64: { method: 'BigUint64', order: ', true' },
  be16: { method: 'Uint16', order: '' },
} as const;

function camel(name: string): string {
  return name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

const preamble = `/**
 * Written by scripts/generate-layout.ts from the BTF of native/bpf/overlay.bpf.c; do not edit.
 * The structs, their meaning and byte order: native/bpf/lib/records.h.
 */`;

const codecs = `/** A struct of the maps as a record: bytes in network order, numbers already in the host's. */
export interface Codec<Value> {
  readonly size: number;
  encode(value: Value): Uint8Array;
  decode(bytes: Uint8Array): Value;
}

/** @throws RangeError when the bytes are not as long as the struct */
function viewOf(bytes: Uint8Array, size: number): DataView {
  if (bytes.length !== size) throw new RangeError(\`\${bytes.length} bytes are not a struct of \${size}\`);
  return new DataView(bytes.buffer, bytes.byteOffset, size);
}

/** @throws RangeError when the bytes do not fill the field */
function put(view: DataView, offset: number, size: number, bytes: Uint8Array): void {
  if (bytes.length !== size) throw new RangeError(\`\${bytes.length} bytes are not a field of \${size}\`);
  new Uint8Array(view.buffer).set(bytes, offset);
}`;

process.exitCode = main(process.argv.slice(2));
