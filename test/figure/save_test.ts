import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeBytes } from "../../lib/codec.ts";
import type { Block, Chart, Picture } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { asText, type Typesetter, typesetter } from "../../lib/figure/text.ts";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { uniforms } from "../nets.ts";

const EVIL = `a < b & "c" > 'd' </text><script>`;

function noise(width: number, height: number, seed: number): Picture {
  const random = uniforms(seed);
  const data = Uint8Array.from({ length: width * height * 3 }, () => Math.floor(256 * random()));
  return { kind: "picture", pixels: { data, width, height }, alt: "noise" };
}

const chart: Chart = {
  kind: "chart",
  alt: "a chart",
  x: { title: "epoch" },
  y: { title: "loss" },
  series: [
    { label: "train", x: [0, 1, 2], y: [3, 2, 1] },
    { label: "validation", x: [0, 1, 2], y: [3, 2.5, 2] },
  ],
};
const picture = noise(40, 30, 1);
const blocks: Block[] = [
  { ...picture, heading: "Waves of noise", note: "a note" },
  chart,
  { kind: "table", columns: [{ title: "layer" }], rows: [["conv1"], [EVIL]] },
  { kind: "bars", width: 100, rows: [{ label: "cat", value: 0.5, text: "50.0 %" }] },
];
const figure = new Figure({ title: EVIL, caption: "The caption of office figures.", blocks });

/** The words of an SVG, in order. */
const wordsOf = (svg: string) => [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, words]) => words);
const ESCAPED = "a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39; &lt;/text&gt;&lt;script&gt;";

describe("a figure as SVG", () => {
  let svg: string;
  let type: Typesetter;
  beforeAll(async () => {
    svg = await figure.svg();
    type = await typesetter();
  });

  test("holds its text as text, escaped", () => {
    const words = wordsOf(svg);
    for (const wanted of ["Waves of noise", "a note", "epoch", "loss", "layer", "conv1", "cat", "50.0 %", "2.5"]) {
      expect(words).toContain(wanted);
    }
    expect(words[0]).toBe(ESCAPED);
    expect(svg).not.toContain("<script>");
    expect(words.at(-1)).toBe("The caption of office figures.");
  });

  test("names a font, and keeps the measured widths in others", () => {
    const [caption] = svg.match(/<text [^>]*>The caption[^<]*<\/text>/)!;
    expect(caption).toContain('font-family="DejaVu Sans, Verdana, sans-serif" font-size="12"');
    const width = Number(caption.match(/textLength="([\d.]+)"/)![1]);
    expect(width).toBeCloseTo(type.measure("The caption of office figures.", 12), 1);
  });

  test("holds the picture at its own resolution, pixel by pixel, to be shown sharp", async () => {
    const [image] = svg.match(/<image [^>]*>/g)!;
    expect(image).toContain('width="40" height="30" image-rendering="pixelated"');
    const png = Uint8Array.fromBase64(image.match(/base64,([^"]*)/)![1]);
    const decoded = await decodeBytes(png, { name: "the picture" });
    expect([decoded.width, decoded.height]).toEqual([40, 30]);
    expect([...decoded.data]).toEqual([...picture.pixels.data]);
  });

  test("holds charts as shapes", () => {
    expect(svg.match(/<path stroke="#(0072b2|d55e00)" stroke-width="2"[^>]* d="M[\d.,L]+"/g)).toHaveLength(2);
  });

  test("is laid out as the PNG is, long titles wrapped", async () => {
    const long = new Figure({ title: "word ".repeat(200), blocks });
    const [, width, height] = (await long.svg()).match(/^<svg [^>]*width="(\d+)" height="(\d+)"/)!.map(Number);
    const png = await decodeBytes(await long.png(), { name: "the figure" });
    expect([width, height]).toEqual([png.width, png.height]);
    expect(wordsOf(await long.svg()).filter((line) => line.startsWith("word word")).length).toBeGreaterThan(5);
  });

  test("holds no character that XML forbids", () => {
    expect(asText(type).text("a\x00\x1b\ud800b", 0, 0, { size: 12, color: "#000" })).toMatch(/>a\ufffd\ufffd\ufffdb</);
    expect(asText(type).text("", 0, 0, { size: 12, color: "#000" })).toBe("");
  });

  test("holds the legend of a map as text", async () => {
    const points = { data: Float32Array.of(0, 0, 1, 1), shape: [2, 2] };
    const map = await mapFigure({ title: "a map", points, labels: ["cat", "dog"] }).svg();
    expect(wordsOf(map)).toEqual(["a map", "label", "cat", "1", "dog", "1"]);
  });

  test("holds of slides the frame that is shown first", async () => {
    const frames = [1, 2, 3].map((n) => ({ label: `${n}`, block: noise(20, 10 * n, n) }));
    const slides = new Figure({ title: "s", blocks: [{ kind: "slides", label: "epoch", frames, start: 1 }] });
    const svg = await slides.svg();
    expect(wordsOf(svg)).toEqual(["s", "epoch 2 · 2 of 3"]);
    expect(svg.match(/<image /g)).toHaveLength(1);
    expect(svg).toContain('width="20" height="20" image-rendering');
  });
});

/** The objects of a PDF, with their streams unpacked, as Latin-1. */
function objectsOf(pdf: Uint8Array): string[] {
  const text = Buffer.from(pdf).toString("latin1");
  return [...text.matchAll(/\d+ 0 obj\n([\s\S]*?)\nendobj/g)].map(([, object]) => {
    const start = object.indexOf("stream\n");
    if (start < 0 || !object.includes("FlateDecode")) return object;
    const [packed] = object.slice(start + 7).split("\nendstream");
    return object.slice(0, start) + inflateSync(Buffer.from(packed, "latin1")).toString("latin1");
  });
}

/** The text that can be selected, letter by letter, by the tables that map glyphs to characters. */
function textOf(objects: string[]): string[] {
  const tables = objects.filter((object) => object.includes("beginbfrange")).map((object) => {
    const glyphs = new Map<string, string>();
    for (const [, first, list] of object.matchAll(/<([0-9a-f]{4})> <[0-9a-f]{4}> \[([^\]]*)\]/g)) {
      [...list.matchAll(/<([0-9a-f ]+)>/g)].forEach(([, hex], i) => {
        const units = hex.match(/[0-9a-f]{4}/g)!.map((unit) => parseInt(unit, 16));
        glyphs.set((parseInt(first, 16) + i).toString(16).padStart(4, "0"), String.fromCharCode(...units));
      });
    }
    return glyphs;
  });
  const shown = objects.filter((object) => /\bTj\b/.test(object)).join("\n");
  return tables.map((glyphs) =>
    [...shown.matchAll(/<([0-9a-f]+)>/g)].map(([, hex]) =>
      hex.match(/.{4}/g)!.map((glyph) => glyphs.get(glyph) ?? "").join("")
    ).join("")
  );
}

describe("a figure as PDF", () => {
  let objects: string[];
  let pdf: Uint8Array;
  beforeAll(async () => {
    pdf = await figure.pdf();
    objects = objectsOf(pdf);
  });

  test("is one page, of the size of the drawing at 96 pixels an inch", async () => {
    expect(new TextDecoder().decode(pdf.subarray(0, 5))).toBe("%PDF-");
    const [, width, height] = (await figure.svg()).match(/width="(\d+)" height="(\d+)"/)!.map(Number);
    const pages = objects.filter((object) => /\/Type \/Page\b/.test(object));
    expect(pages).toHaveLength(1);
    expect(pages[0]).toContain(`/MediaBox [0 0 ${width * 0.75} ${height * 0.75}]`);
  });

  test("holds text that can be selected, in fonts that are in the file", () => {
    const fonts = objects.filter((object) => object.includes("/FontFile2"));
    expect(fonts.map((font) => font.match(/\+(DejaVuSans[\w-]*)/)![1]).sort()).toEqual([
      "DejaVuSans",
      "DejaVuSans-Bold",
    ]);
    const text = textOf(objects).join("\n");
    for (const wanted of ["conv1", "50.0 %", "epoch", "office figures.", "Waves of noise"]) {
      expect(text).toContain(wanted);
    }
  });

  test("holds the picture at its own resolution, pixel by pixel, not to be smoothed", () => {
    const image = objects.find((object) => object.includes("/Subtype /Image"))!;
    expect(image).toMatch(/\/Width 40\n\/Height 30/);
    expect(image).not.toContain("/Interpolate true");
  });

  test("holds charts as shapes: two lines of three points", () => {
    const page = objects.find((object) => /\bTj\b/.test(object))!;
    expect(page.match(/0 0\.44705\d* 0\.69803\d* SCN/)).not.toBeNull();
    expect(page.match(/ l\n/g)!.length).toBeGreaterThan(4);
  });
});
