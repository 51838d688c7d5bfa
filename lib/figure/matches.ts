/**
 * Points of an image and where they are found in others: as a drawing, and as pictures that answer a click.
 *
 * @module
 */

import { encodeForPage, encodePng, renderSvgAsWebp } from "../codec.ts";
import { scriptJson } from "../format.ts";
import scripts from "../page/bundle.json" with { type: "json" };
import type { LikenessData } from "../page/data.ts";
import { rgbOf } from "../page/disc.ts";
import { nearestQuery, shadeOf } from "../page/numbers.ts";
import type { Drawing, Live } from "./blocks.ts";
import type { Pixels } from "./mosaic.ts";
import { svgDocument } from "./draw.ts";
import { type Typesetter, typesetter } from "./text.ts";
import { type Theme, THEMES } from "./theme.ts";

type Point = readonly [y: number, x: number];

/** An image of a row. */
export interface MatchPicture {
  readonly name: string;
  readonly pixels: Pixels;
  /** Of the image itself, in its own pixels, in which points are counted. */
  readonly height: number;
  readonly width: number;
  /** How large one of its pixels is drawn. */
  readonly scale: number;
}

/** How alike places of an image are to the cells of another. */
export interface LikenessOf {
  /** The places, each row with each column: pixels from the centre of the first. */
  readonly ys: readonly number[];
  readonly xs: readonly number[];
  /** Where the cells end, in pixels from the other image's edge. */
  readonly rowEdges: readonly number[];
  readonly columnEdges: readonly number[];
  /** `[places, rows, columns]`, 0…255: from the least to the most alike cell of each place. */
  readonly likes: Uint8Array;
  /** Where each place is found. */
  readonly matches: readonly Point[];
}

const GAP = 12;
const LINE = 18;
const WIDTH = 940;
const SIZE = 12;
/** Points have numbers where there are at most so many. */
const NUMBERED = 12;
/** The corners' colours: a point's colour says where it lies in the first image. Safe for colour blindness. */
const CORNERS = ["#1f9bff", "#ffb000", "#00c48c", "#ff4fa0"].map(rgbOf);

/** The colour of a point by its place in an image. */
function colorOf([y, x]: Point, { height, width }: MatchPicture): string {
  const [down, across] = [(y + 0.5) / height, (x + 0.5) / width];
  const weights = [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across];
  const mixed = [0, 1, 2].map((c) => Math.round(CORNERS.reduce((sum, color, i) => sum + weights[i] * color[c], 0)));
  return `rgb(${mixed.join(",")})`;
}

const dataUri = (bytes: Uint8Array) => `data:image/${bytes[0] === 0x89 ? "png" : "webp"};base64,${bytes.toBase64()}`;
const depthOf = ({ data, width, height }: Pixels): 3 | 4 => data.length === width * height * 4 ? 4 : 3;
const short = (value: number) => Number(value.toFixed(2));

/** The pictures from left to right, line after line, and what is painted over each. */
async function inLines(
  type: Typesetter,
  theme: Theme,
  pictures: readonly MatchPicture[],
  over: (picture: MatchPicture, index: number, left: number, top: number) => string,
  /** After how many pictures a line ends at the latest. */
  most = Infinity,
): Promise<Drawing> {
  const encoded = await Promise.all(
    pictures.map(({ pixels }) =>
      encodePng(pixels.data, pixels.width, pixels.height, depthOf(pixels), { palette: true })
    ),
  );
  const parts: string[] = [];
  let [left, top, tall, wide] = [0, 0, 0, 0];
  pictures.forEach((picture, i) => {
    const [width, height] = [picture.width * picture.scale, picture.height * picture.scale];
    if (left > 0 && (left + width > WIDTH || i % most === 0)) [left, top, tall] = [0, top + tall + GAP, 0];
    parts.push(
      type.text(fitting(type, picture.name, width), left, top + 12, { size: SIZE, color: theme.softInk }),
      `<image x="${short(left)}" y="${top + LINE}" width="${short(width)}" height="${short(height)}" ` +
        `preserveAspectRatio="none" ${picture.scale >= 1 ? 'image-rendering="pixelated" ' : ""}` +
        `href="${dataUri(encoded[i])}"/>`,
      over(picture, i, left, top + LINE),
    );
    [wide, tall] = [Math.max(wide, left + width), Math.max(tall, LINE + height)];
    left += width + GAP;
  });
  return { svg: parts.join(""), width: Math.ceil(wide), height: Math.ceil(top + tall) };
}

/** Pixels of what a page shows to one of it. */
const FINE = 2;
/** Words that are read on light and on dark pages. */
const EITHER: Theme = { ...THEMES.light, softInk: "#808080" };

/** What a page shows of a drawing that holds photos. */
async function pictureOf(draw: (type: Typesetter, theme: Theme) => Promise<Drawing>): Promise<Uint8Array> {
  const drawing = await draw(await typesetter(), EITHER);
  return await renderSvgAsWebp(svgDocument(drawing), { width: drawing.width * FINE });
}

/** As much of some words as there is room for. */
function fitting(type: Typesetter, words: string, width: number): string {
  if (type.measure(words, SIZE) <= width) return words;
  let length = words.length;
  while (length > 1 && type.measure(`${words.slice(0, length)}…`, SIZE) > width) length--;
  return `${words.slice(0, length)}…`;
}

/** A disc, or a ring, with a dark edge to be seen on white. */
function dot(x: number, y: number, color: string, filled: boolean, radius = 4): string {
  const at = `cx="${short(x)}" cy="${short(y)}" r="${radius}"`;
  return filled
    ? `<circle ${at} fill="${color}" stroke="#fff" stroke-width="1.2"/><circle ${at} fill="none" stroke="#000" ` +
      `stroke-opacity=".55" stroke-width=".5"/>`
    : `<circle ${at} fill="none" stroke="#000" stroke-opacity=".6" stroke-width="3.4"/>` +
      `<circle ${at} fill="none" stroke="${color}" stroke-width="2"/>`;
}

/** Points of the first picture, in its colours on all: filled where they come back, else as rings. */
export function matchesBlock({ heading, pictures, points, matches }: {
  heading: string;
  pictures: readonly MatchPicture[];
  points: readonly Point[];
  /** Of each other picture, by point. */
  matches: readonly (readonly { readonly match: Point; readonly consistent: boolean }[])[];
}): Live {
  const [first] = pictures;
  const drawn = (type: Typesetter, theme: Theme) =>
    inLines(type, theme, pictures, ({ scale }, i, left, top) =>
      points.map((point, p) => {
        const { match, consistent } = i === 0 ? { match: point, consistent: true } : matches[i - 1][p];
        const [x, y] = [left + (match[1] + 0.5) * scale, top + (match[0] + 0.5) * scale];
        const number = points.length > NUMBERED
          ? ""
          : `<rect x="${short(x + 5)}" y="${short(y - 13)}" width="${
            short(type.measure(String(p + 1), 10) + 4)
          }" height="12" fill="#000" fill-opacity=".62"/>` +
            type.text(String(p + 1), x + 7, y - 4, { size: 10, color: "#ffffff" });
        return dot(x, y, colorOf(point, first), consistent) + number;
      }).join(""));
  return {
    kind: "live",
    heading,
    alt: `${points.length} points of ${first.name} at ${heading}, and where they are found in ` +
      pictures.slice(1).map(({ name }) => name).join(", "),
    className: "convlens-matches",
    still: drawn,
    picture: () => pictureOf(drawn),
    html: () => Promise.resolve(""),
  };
}

/** The rectangles that darken what is little alike. */
function shades({ rowEdges, columnEdges, likes }: LikenessOf, query: number, scale: number, left: number, top: number) {
  const [rows, columns] = [rowEdges.length - 1, columnEdges.length - 1];
  const parts: string[] = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const shade = shadeOf(likes[(query * rows + y) * columns + x]);
      const [width, height] = [columnEdges[x + 1] - columnEdges[x], rowEdges[y + 1] - rowEdges[y]];
      if (shade < 0.004 || width <= 0 || height <= 0) continue;
      parts.push(
        `<rect x="${short(left + columnEdges[x] * scale)}" y="${short(top + rowEdges[y] * scale)}" width="${
          short(width * scale)
        }" height="${short(height * scale)}" fill-opacity="${shade.toFixed(3)}"/>`,
      );
    }
  }
  return `<g fill="#000" shape-rendering="crispEdges">${parts.join("")}</g>`;
}

const cross = (x: number, y: number) => {
  const lines = `M${short(x - 8)} ${short(y)}h16M${short(x)} ${short(y - 8)}v16`;
  return `<path d="${lines}" stroke="#000" stroke-width="4" fill="none"/><path d="${lines}" stroke="#fff" ` +
    `stroke-width="2" fill="none"/>`;
};

/** The first picture, to be clicked at, and how alike the cells of the others are to the place under the cross. */
export function likenessBlock({ pictures, start, layers }: {
  pictures: readonly MatchPicture[];
  /** Where the cross is at first. */
  start: Point;
  layers: readonly { readonly layer: string; readonly images: readonly LikenessOf[] }[];
}): Live {
  const [first, ...others] = pictures;
  const rows = layers.flatMap(({ layer, images }) => [
    { picture: { ...first, name: layers.length > 1 ? layer : first.name }, likeness: images[0], other: false },
    ...others.map((picture, i) => ({ picture, likeness: images[i], other: true })),
  ]);
  const drawn = (type: Typesetter, theme: Theme) =>
    inLines(type, theme, rows.map(({ picture }) => picture), ({ scale }, i, left, top) => {
      const { likeness, other } = rows[i];
      const query = nearestQuery(likeness, start);
      const place = (at: number, edge: number) => edge + (at + 0.5) * scale;
      if (!other) {
        const [y, x] = [likeness.ys[Math.floor(query / likeness.xs.length)], likeness.xs[query % likeness.xs.length]];
        return cross(place(x, left), place(y, top));
      }
      const [y, x] = likeness.matches[query];
      return shades(likeness, query, scale, left, top) + dot(place(x, left), place(y, top), "#fff", false, 7);
    }, pictures.length);
  return {
    kind: "live",
    heading: "How alike each cell is to the place at the cross",
    note: "click on the first image, or move over it",
    alt: `How alike the cells of ${others.map(({ name }) => name).join(", ")} are to a place of ${first.name}`,
    className: "convlens-likeness",
    still: drawn,
    picture: () => pictureOf(drawn),
    async html() {
      const photos = await Promise.all(pictures.map(async ({ pixels, name, height, width, scale }) => ({
        name,
        height,
        width,
        scale: short(scale),
        address: dataUri(await encodeForPage(pixels.data, pixels.width, pixels.height, depthOf(pixels))),
      })));
      const data: LikenessData = {
        photos,
        start,
        layers: layers.map(({ layer, images }) => ({
          layer,
          images: images.map(({ ys, xs, rowEdges, columnEdges, likes, matches }) => ({
            ys: ys.map(short),
            xs: xs.map(short),
            rowEdges: rowEdges.map(short),
            columnEdges: columnEdges.map(short),
            likes: likes.toBase64(),
            matches: matches.map(([y, x]) => [short(y), short(x)] as const),
          })),
        })),
      };
      return `<script type="application/json">${scriptJson(data)}</script><script>${scripts.likeness}</script>`;
    },
  };
}
