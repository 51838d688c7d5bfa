/**
 * Numbers, times and text for people: the one formatter of captions, tables, progress bars and errors.
 *
 * @module
 */

/** Shown where there is no number. */
const NONE = "–";

// Only what is no number is neither below nor at infinity.
const missing = (value: number | null | undefined): value is null | undefined =>
  value === null || value === undefined || !(value <= Infinity);

/** The minus sign of a text's numbers as typographers write it; a negative zero loses it. */
const signed = (text: string) => text.replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");

/** A number with at most `digits` significant digits, as `"−0.0123"`; `"–"` where there is none. */
export function brief(value: number | null | undefined, digits = 3): string {
  return missing(value) ? NONE : signed(Number(value.toPrecision(digits)).toString());
}

/** A number with `digits` significant digits, zeros among them, for numbers beside each other: `"3.30"` beside `"3.28"`. */
export function significant(value: number | null | undefined, digits = 3): string {
  if (missing(value)) return NONE;
  const text = value.toPrecision(digits);
  return value === 0 || text.includes("e") ? brief(value, digits) : signed(text);
}

/** A number with a fixed number of decimals, as `"0.120"`; `"–"` where there is none. */
export function fixed(value: number | null | undefined, decimals = 3): string {
  return missing(value) ? NONE : signed(value.toFixed(decimals));
}

/** A share from 0 to 1 in per cent with a fixed number of decimals, as `"12.0 %"`; `"–"` where there is none. */
export function percent(share: number | null | undefined, decimals = 1): string {
  return missing(share) ? NONE : `${signed((100 * share).toFixed(decimals))} %`;
}

/**
 * A probability that a model gives, in per cent with a decimal, as `"12.0 %"`. What would be rounded to 100 is `"> 99.9 %"`: no
 * softmax is ever sure.
 */
export function probabilityText(probability: number | null | undefined): string {
  return !missing(probability) && probability >= 0.9995 ? "> 99.9 %" : percent(probability);
}

/** A share from 0 to 1 in per cent with at most `digits` significant digits, as `"12 %"`, `"0.012 %"`. */
export function briefPercent(share: number | null | undefined, digits = 2): string {
  return missing(share) ? NONE : `${brief(100 * share, digits)} %`;
}

/** Bytes in the unit that fits, as `"1.50 GB"`. */
export function bytesText(bytes: number): string {
  const unit = ([[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]] as const).find(([size]) => bytes >= size);
  return unit ? `${(bytes / unit[0]).toPrecision(3)} ${unit[1]}` : `${bytes} bytes`;
}

/** A time in the units that fit it, rounded first, so that no minute has 60 seconds. */
export function duration(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  const minutes = Math.round(s / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text made safe for HTML, as content and as the value of a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

/** Text that Plotly shows as it is: it reads tags, entities and TeX between dollars in every string. */
export function plotlyText(text: string): string {
  return text.replace(/[&<>$]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** JSON that can be written within a script element, whatever its strings hold. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

/** JSON for an attribute in single quotes: its own double quotes stay readable and short. */
export function jsonAttribute(value: unknown): string {
  return JSON.stringify(value).replace(/[&<>']/g, (character) => ENTITIES[character]);
}
