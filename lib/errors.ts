/**
 * The wording that errors share: what was asked, what was found, what is wanted.
 *
 * @module
 */

/** Levenshtein distance, ignoring case. Ours, because an error is made at once, and packages are imported later. */
function distance(a: string, b: string): number {
  const from = a.toLowerCase();
  const to = b.toLowerCase();
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[to.length];
}

/**
 * The names nearest to a misspelt one: those that contain it, then by edit distance.
 *
 * @param top how many to return (default 5)
 */
export function nearest(name: string, names: readonly string[], top = 5): string[] {
  const wanted = name.toLowerCase();
  const score = (candidate: string) =>
    distance(name, candidate) - (wanted && candidate.toLowerCase().includes(wanted) ? candidate.length + 1 : 0);
  return names
    .map((candidate, index) => ({ candidate, index, score: score(candidate) }))
    .sort((a, b) => a.score - b.score || a.index - b.index)
    .slice(0, top)
    .map(({ candidate }) => candidate);
}

/** The names nearest to a misspelt one, as a sentence. */
export function nearestOf(name: string, names: readonly string[], top?: number): string {
  const shown = nearest(name, names, top);
  const rest = names.length > shown.length ? ` (${names.length} in all)` : "";
  return `The nearest: ${shown.map((n) => JSON.stringify(n)).join(", ")}${rest}.`;
}

/**
 * The error for a name that does not exist, with the nearest names that do.
 *
 * @param kind what the name should name, as "layer" or "photo"
 * @param name what was asked for
 * @param names those that exist
 * @param owner where they exist, as `model "resnet50"`
 */
export function unknownName(kind: string, name: string, names: readonly string[], owner: string): RangeError {
  return new RangeError(
    `There is no ${kind} ${JSON.stringify(name)} in ${owner}. ${
      names.length ? nearestOf(name, names) : "It has none."
    }`,
  );
}
/** Longer strings are cut. */
const LONGEST_QUOTE = 60;

/** What a value is, in a few words, for the end of an error's message: what was received. */
export function kindOf(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > LONGEST_QUOTE ? `${value.slice(0, LONGEST_QUOTE)}…` : value);
  }
  if (typeof value === "function") return value.name ? `the function ${value.name}` : "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (typeof (value as PromiseLike<unknown>).then === "function") return "a promise (did you forget await?)";
  if (Array.isArray(value)) return "an array";
  const { data, shape } = value as { data?: unknown; shape?: unknown };
  if (Array.isArray(shape)) {
    if (typeof data === "function") {
      return `a tensor of shape [${shape.join(", ")}] (its numbers are await tensor.data())`;
    }
    const { length } = (data ?? {}) as { length?: number };
    const held = data?.constructor?.name ?? String(data);
    return `{ data: ${held}${length === undefined ? "" : ` of ${length}`}, shape: [${shape.join(", ")}] }`;
  }
  const type = value.constructor?.name ?? "Object";
  return type === "Object" ? "an object" : `an object of type ${type}`;
}

/** What was thrown, as one line without its full stop. tfjs also throws plain objects that only have a message. */
export function messageOf(thrown: unknown): string {
  const { message = thrown } = (thrown ?? {}) as { message?: unknown };
  return String(message).trim().replace(/\s+/g, " ").replace(/\.$/, "");
}
