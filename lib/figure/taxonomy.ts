/**
 * Errors to be sorted by kind: in a page, each image with a field for its category, counted, and downloaded as JSON.
 *
 * @module
 */

import { encodeForPage } from "../codec.ts";
import { scriptJson } from "../format.ts";
import scripts from "../page/bundle.json" with { type: "json" };
import type { TaxonomyData } from "../page/data.ts";
import type { Live } from "./blocks.ts";
import type { Pixels } from "./mosaic.ts";

/** An image that someone has wrong. */
export interface ErrorTile {
  readonly id: string;
  /** Who is wrong, as `"both wrong"`. */
  readonly group: string;
  readonly picture: Pixels;
  /** What stands below it: its class first. */
  readonly words: readonly string[];
  /** The category that it has already; empty for none. */
  readonly category: string;
}

/** Kinds of errors as Russakovsky et al. 2015, §6.4, tell them apart: what the field offers. */
const KINDS = [
  "multiple objects",
  "wrong or ambiguous label",
  "small or thin object",
  "image filter or distortion",
  "abstract representation",
  "fine-grained class",
  "class not known to the person",
  "too few examples for training",
  "other",
];

const WIDTH = 640;
const LINE = 20;

/**
 * @param tiles the errors
 * @param options.left how many more there are
 * @param options.key what tells this comparison from others: under it the browser keeps what is filled in
 */
export function taxonomyBlock(tiles: readonly ErrorTile[], { left, key }: { left: number; key: string }): Live {
  const own = tiles.map(({ category }) => category).filter((category) => category !== "" && !KINDS.includes(category));
  const kinds = [...new Set([...own, ...KINDS])];
  const words = `${tiles.length} errors to be sorted by kind`;
  const lines = [
    `${words}. The fields for it need scripts: trust this notebook, or open the figure as a page, figure().save("errors.html"). ` +
    'What is filled in there is downloaded as taxonomy.json, for compareHumans(…, { taxonomy: "taxonomy.json" }).',
  ];
  return {
    kind: "live",
    heading: "Sort the errors by kind",
    note: left > 0 ? `The first ${tiles.length} of ${tiles.length + left} errors.` : "",
    className: "convlens-taxonomy",
    alt: words,
    still: (type, theme) => {
      const wrapped = lines.flatMap((line) => type.wrap(line, 13, WIDTH - 32));
      const height = wrapped.length * LINE + 24;
      const text = wrapped.map((line, i) => type.text(line, 16, 26 + i * LINE, { size: 13, color: theme.ink })).join(
        "",
      );
      const frame = `<rect x=".5" y=".5" width="${WIDTH - 1}" height="${height - 1}" rx="6" fill="${theme.card}" ` +
        `stroke="${theme.cardEdge}"/>`;
      return { width: WIDTH, height, svg: frame + text };
    },
    html: async () => {
      const images = await Promise.all(tiles.map(async ({ id, group, picture, words, category }) => {
        const { data, width, height } = picture;
        const depth = data.length / (width * height) === 4 ? 4 : 3;
        const bytes = await encodeForPage(new Uint8Array(data), width, height, depth);
        const kind = bytes[0] === 0x89 ? "png" : "webp";
        return {
          id,
          group,
          words,
          category,
          picture: `data:image/${kind};base64,${new Uint8Array(bytes).toBase64()}`,
          width,
          height,
        };
      }));
      const data: TaxonomyData = { key, kinds, images };
      return `<script type="application/json">${scriptJson(data)}</script><script>${scripts.taxonomy}</script>`;
    },
  };
}
