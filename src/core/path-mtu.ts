/**
 * The search for the largest packet a path carries: what trials have told so far, and which sizes are worth trying next.
 * Pure. Only an answer raises what the path carries; a refusal or silence only says where to stop looking.
 *
 *      carried ─────────── tried next ─────────── refused, or silent
 */

export interface Trial {
  readonly sizeBytes: number;
  /** `refused`: by a router or by the own device; `namedBytes` is the size it said would do. */
  readonly outcome: 'carried' | 'silent' | 'refused';
  readonly namedBytes?: number | null;
}

export interface PathBounds {
  /** Largest that was answered; 0 before the first. */
  readonly carriedBytes: number;
  /** Smallest that was refused in words; more than any packet has before the first. */
  readonly refusedBytes: number;
  /** What met silence, all of it larger than what was answered. */
  readonly silentBytes: readonly number[];
  /** What routers named and nobody has tried. */
  readonly namedBytes: readonly number[];
}

/** Specification: an IP packet's length has 16 bits. */
export const largestPacketBytes = 65_535;
export const nothingKnown: PathBounds = {
  carriedBytes: 0,
  refusedBytes: largestPacketBytes + 1,
  silentBytes: [],
  namedBytes: [],
};

/** Implementation: MTUs that occur on real paths. */
const rungsBytes: readonly number[] = [65_535, 9216, 9000, 8950, 4352, 1500, 1492, 1480, 1450, 1420, 1400, 1350, 1280];
/** Implementation: sizes tried at once when none of those lies in between. */
const width = 8;

export function withTrials(bounds: PathBounds, trials: readonly Trial[]): PathBounds {
  const sizesOf = (outcome: Trial['outcome']) =>
    trials.filter((trial) => trial.outcome === outcome).map(({ sizeBytes }) => sizeBytes);
  const carriedBytes = Math.max(bounds.carriedBytes, ...sizesOf('carried'));
  const isAbove = (size: number) => size > carriedBytes;
  // What was answered refutes an earlier word to the contrary: the path has grown, or the word was forged.
  const refused = [bounds.refusedBytes, ...sizesOf('refused')].filter(isAbove);
  const refusedBytes = Math.min(largestPacketBytes + 1, ...refused);
  const named = [...bounds.namedBytes, ...trials.flatMap(({ namedBytes }) => namedBytes ?? [])];
  const tried = new Set(trials.map(({ sizeBytes }) => sizeBytes));
  return {
    carriedBytes,
    refusedBytes,
    silentBytes: [...bounds.silentBytes, ...sizesOf('silent')].filter(isAbove),
    namedBytes: [...new Set(named)].filter((size) => isAbove(size) && !tried.has(size)),
  };
}

/** Sizes to try at once; none when the answer is known to the byte. */
export function nextSizes({ carriedBytes, refusedBytes, silentBytes, namedBytes }: PathBounds): readonly number[] {
  const ceiling = Math.min(refusedBytes, ...silentBytes);
  const within = (sizes: readonly number[]) => sizes.filter((size) => size > carriedBytes && size < ceiling);
  const named = within(namedBytes.flatMap((size) => [size, size + 1]));
  if (named.length > 0) return named;
  const rungs = within(rungsBytes);
  return rungs.length > 0 ? rungs : spread(carriedBytes, ceiling);
}

/** Sizes between the two, the one right above the lower always among them: that one alone settles most searches. */
function spread(lower: number, upper: number): readonly number[] {
  const step = Math.max(1, Math.ceil((upper - lower) / width));
  const sizes = Array.from({ length: width }, (_, index) => lower + 1 + index * step);
  return sizes.filter((size) => size < upper);
}
