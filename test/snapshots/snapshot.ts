/**
 * Snapshots in files: HTML by text, PNG by pixels.
 *
 * A figure that has changed is written beside its snapshot as `NAME-changed`. Look at both; if the new one is right, let
 * it take the old one's place.
 */

import { decodeBytes } from "../../lib/codec.ts";
import scripts from "../../lib/page/bundle.json" with { type: "json" };

/** How far a picture may be from its snapshot: rounding in another build of the libraries, and no more. */
export const TOLERANCE = {
  /** A channel of a pixel may be off by so much of 255 … */
  step: 8,
  /** … in all pixels but this share, */
  share: 0.0001,
  /** and over the whole picture by so much in the mean. */
  mean: 0.1,
};

export interface Decoded {
  data: Uint8Array;
  width: number;
  height: number;
}

/** What sets two pictures apart, in words; `undefined` when they are the same within {@linkcode TOLERANCE}. */
export function difference(found: Decoded, wanted: Decoded): string | undefined {
  if (found.width !== wanted.width || found.height !== wanted.height) {
    return `it is ${found.width} × ${found.height} pixels; wanted ${wanted.width} × ${wanted.height}`;
  }
  const pixels = found.width * found.height;
  let sum = 0;
  let off = 0;
  let first = -1;
  for (let i = 0; i < pixels; i++) {
    let most = 0;
    for (let c = 0; c < 3; c++) {
      const step = Math.abs(found.data[i * 3 + c] - wanted.data[i * 3 + c]);
      sum += step;
      most = Math.max(most, step);
    }
    if (most <= TOLERANCE.step) continue;
    off++;
    if (first < 0) first = i;
  }
  const mean = sum / (pixels * 3);
  if (off <= TOLERANCE.share * pixels && mean <= TOLERANCE.mean) return undefined;
  const where = first < 0 ? "" : `, the first at x ${first % found.width}, y ${Math.floor(first / found.width)}`;
  return `${off} of ${pixels} pixels differ by more than ${TOLERANCE.step} of 255${where} ` +
    `(allowed: ${Math.floor(TOLERANCE.share * pixels)}); the mean difference is ${mean.toFixed(3)} ` +
    `(allowed: ${TOLERANCE.mean})`;
}

/** HTML with its pictures, its packed numbers and its scripts replaced by placeholders, one element a line. */
export function readable(html: string): string {
  return Object.entries(scripts).reduce((text, [name, script]) => text.replaceAll(script, `[${name} script]`), html)
    .replace(/(class="convlens-plotly">)[^<]*/g, "$1[Plotly]")
    .replace(/("sheets":\[")[A-Za-z0-9+/=]*/g, "$1[WebP]")
    .replace(
      /((?:halves|likes)\\*":\\*")([A-Za-z0-9+/=]{80,})/g,
      (_, name: string, base64: string) => `${name}[${base64.length} characters]`,
    )
    .replace(/data:image\/webp;base64,[A-Za-z0-9+/=]+/g, "[WebP]")
    .replace(/data:image\/png;base64,([A-Za-z0-9+/=]+)/g, (_, base64: string) => {
      const view = new DataView(Uint8Array.fromBase64(base64.slice(0, 32)).buffer);
      return `[PNG, ${view.getUint32(16)} × ${view.getUint32(20)}]`;
    })
    .replaceAll("><", ">\n<") + "\n";
}

/** Where snapshots stand, and whether a missing one is an error. */
export interface SnapshotOptions {
  folder: URL;
  /** Whether a missing snapshot is an error, rather than written. */
  strict: boolean;
}

/** A picture or a text, and how it is compared with its snapshot. */
async function compare(
  file: string,
  { folder, strict }: SnapshotOptions,
  found: Uint8Array,
  compareWith: (wanted: Uint8Array) => Promise<string | undefined>,
): Promise<void> {
  const snapshot = new URL(file, folder);
  const changed = new URL(file.replace(/\.(\w+)$/, "-changed.$1"), folder);
  const wanted = await Deno.readFile(snapshot).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (!wanted) {
    if (strict) {
      throw new Error(
        `There is no snapshot ${file}. Run this test with the environment variable CI unset, ` +
          `look at what it writes, and commit it.`,
      );
    }
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(snapshot, found);
    console.warn(`Written for the first time, look at it: ${file}`);
    return;
  }
  const what = await compareWith(wanted);
  if (what === undefined) {
    await Deno.remove(changed).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    return;
  }
  await Deno.writeFile(changed, found);
  const name = changed.pathname.split("/").at(-1);
  throw new Error(
    `${file} has changed: ${what}. The new one was written beside it as ${name}. ` +
      `If it is right, move it to ${file}; if not, mend the figure.`,
  );
}

/** Compares HTML with the snapshot of that name, text by text. */
export function matchHtml(name: string, html: string, options: SnapshotOptions): Promise<void> {
  const text = readable(html);
  return compare(`${name}.html`, options, new TextEncoder().encode(text), (bytes) => {
    const found = text.split("\n");
    const wanted = new TextDecoder().decode(bytes).split("\n");
    const line = found.findIndex((part, i) => part !== wanted[i]);
    if (line < 0 && found.length === wanted.length) return Promise.resolve(undefined);
    const at = line < 0 ? found.length : line;
    return Promise.resolve(
      `line ${at + 1} is ${JSON.stringify(found[at] ?? "missing")}; wanted ${JSON.stringify(wanted[at] ?? "no more")}`,
    );
  });
}

/** Compares a PNG with the snapshot of that name, pixel by pixel. */
export function matchPng(name: string, png: Uint8Array, options: SnapshotOptions): Promise<void> {
  return compare(`${name}.png`, options, png, async (bytes) =>
    difference(
      await decodeBytes(png, { name: `${name}.png` }),
      await decodeBytes(bytes, { name: `the snapshot ${name}.png` }),
    ));
}
