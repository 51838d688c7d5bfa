import { describe, expect, test } from "vitest";
import { encodePng } from "../../lib/codec.ts";
import type { Block } from "../../lib/figure/blocks.ts";
import { Figure, type FigureParts } from "../../lib/figure/figure.ts";
import scripts from "../../lib/page/bundle.json" with { type: "json" };
import { escapeHtml } from "../../lib/format.ts";

const EVIL = `"><script>alert(1)</script>' onerror='x`;

const pixels = { data: new Uint8Array(2 * 3 * 3).fill(7), width: 2, height: 3 };

/** A figure with a block of each kind, and the same words wherever words can stand. */
function parts(words: string): FigureParts {
  return {
    title: words,
    caption: `${words}\n${words}`,
    blocks: [
      {
        kind: "picture",
        pixels,
        alt: words,
        heading: words,
        note: words,
        grid: { columns: 1, tile: [2, 3], labels: [words] },
      },
      {
        kind: "row",
        heading: words,
        blocks: [
          { kind: "bars", width: 200, rows: [{ label: words, value: 0.25, text: words }] },
          { kind: "table", columns: [{ title: words }, { title: "n", align: "right" }], rows: [[words, "1"]] },
        ],
      },
      {
        kind: "chart",
        alt: words,
        x: { title: words },
        y: { title: words },
        names: [words],
        series: [{ label: words, x: [0], y: [1] }],
      },
      { kind: "blend", below: pixels, above: pixels, alt: words },
      {
        kind: "sheet",
        side: 20,
        heading: words,
        tiles: [{ pixels, lines: [words, words], words, alt: words, outlined: true }],
        orders: [words, "b"].map((name) => ({ name, places: [0] })),
      },
      {
        kind: "matrix",
        rows: [words],
        columns: [words],
        cells: [[{ count: 3, share: 1, right: true, words }]],
        corner: words,
        sides: [{ title: words, texts: [words] }],
      },
      {
        kind: "slides",
        label: words,
        start: 0,
        frames: [1, 2].map(() => ({ label: words, block: { kind: "picture", pixels, alt: words, note: words } })),
      },
    ],
  };
}

const htmlOf = (words: string) => new Figure(parts(words)).html();

/** What is left where scripts are stripped. */
const still = (html: string) => html.replace(/<script[^>]*>[\s\S]*?<\/script>/g, "");

describe("figure HTML", () => {
  test("shows words from outside as text, wherever they stand", async () => {
    const whole = await htmlOf(EVIL);
    expect(whole).not.toContain("<script>alert");
    const html = still(whole);
    expect(html).not.toContain("<script");
    // Title, caption twice, alt, two headings, a note, the hover's label, bar and its text, a column and a cell.
    // Of the chart: alt, two titles, a name, a label; of the blend its alt; of the slides: what the slider sets,
    // that again and the frame's label, alt and note of the frame that is seen. Of the contact sheet: heading, a tile's
    // hover, alt and two lines; of the matrix: its row and its column, each with its hover, a cell's hover, the corner,
    // a further column and its text.
    expect(html.split("&gt;&lt;script&gt;alert(1)&lt;/script&gt;")).toHaveLength(1 + 12 + 5 + 1 + 5 + 5 + 8);
    // No quote of it ends an attribute: every tag is made of whole attributes.
    for (const [tag] of html.matchAll(/<[a-z][^>]*>/g)) {
      expect(tag).toMatch(/^<[a-z]+( [a-z-]+=("[^"]*"|'[^']*'))*>$/);
    }
  });

  test("keeps the frames out of sight as JSON that reads back, and ends its script nowhere", async () => {
    const html = await htmlOf(EVIL);
    const blocks = Array.from(
      html.matchAll(/<script type="application\/json">([\s\S]*?)<\/script>/g),
      ([, json]) => json,
    );
    expect(blocks).toHaveLength(3);
    expect(Object.keys(JSON.parse(blocks[0]))).toEqual(["below", "above", "opacity"]);
    expect(JSON.parse(blocks[1]).orders[0]).toEqual({ name: EVIL, places: [0] });
    const { start, labels, frames } = JSON.parse(blocks[2]);
    expect([start, labels[1], frames[0]]).toEqual([0, `${EVIL} ${EVIL} · 2 of 2`, null]);
    expect(frames[1]).toContain(`alt="${escapeHtml(EVIL)}"`);
    expect(html.match(/<script/g)).toHaveLength(5);
    expect(html.match(/<\/script/g)).toHaveLength(5);
  });

  test("gives the hover its grid as JSON that reads back, whatever its labels hold", async () => {
    const html = await htmlOf(EVIL + "\n& é");
    const json = html.match(/data-convlens='([^']*)'/)![1]
      .replace(/&(amp|lt|gt|#39);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">", "#39": "'" })[name as "amp"]!);
    expect(JSON.parse(json)).toEqual({ columns: 1, tile: [2, 3], labels: [EVIL + "\n& é"] });
  });

  test("holds each picture as an img of its own size with words for it, never blurred", async () => {
    const html = await htmlOf("a dog");
    const [image, ...more] = still(html).match(/<img [^>]*>/g)!;
    // A chart, a blend, a tile of the contact sheet and the frame that is seen.
    expect(more).toHaveLength(4);
    expect(image).toContain('alt="a dog" width="2" height="3"');
    expect(image).toContain("image-rendering:pixelated");
    const base64 = image.match(/src="data:image\/png;base64,([^"]+)"/)![1];
    expect(base64).toBe((await encodePng(pixels.data, 2, 3, 3)).toBase64());
  });

  test("carries the hover's script only where there is something to tell", async () => {
    expect(await htmlOf("a")).toContain("<script>");
    const plain = new Figure({ title: "a", blocks: [{ kind: "picture", pixels, alt: "a" }] });
    expect(await plain.html()).not.toContain("<script");
    const chart: Block = {
      kind: "chart",
      alt: "a",
      x: { title: "x" },
      y: { title: "y" },
      series: [{ label: "y", x: [1, 2], y: [1, 2] }],
    };
    const hovering = await new Figure({ title: "a", blocks: [chart] }).html();
    expect(hovering).toContain(scripts.hover);
    expect(hovering).not.toContain(scripts.controls);
    const slides: Block = { kind: "slides", label: "epoch", frames: [{ label: "1", block: chart }] };
    const sliding = await new Figure({ title: "a", blocks: [slides] }).html();
    expect(sliding).toContain(scripts.hover);
    expect(sliding).toContain(scripts.controls);
  });

  test("leaves text in the page's own colour, and lays no ground under it: light and dark themes both fit", async () => {
    const html = still(await htmlOf("words"));
    const styles = Array.from(html.matchAll(/style="([^"]*)"/g), ([, style]) => style);
    expect(styles.length).toBeGreaterThan(10);
    for (const style of styles) expect(style).not.toMatch(/(^|;)\s*color\s*:/);
    const grounds = new Set(styles.flatMap((style) => style.match(/background(-color)?:[^;]+/g) ?? []));
    expect([...grounds].sort()).toEqual([
      "background-color:#3b82c4",
      "background-color:rgba(128,128,128,.35)",
      // A cell of a matrix lets the page shine through.
      "background-color:rgba(59,130,196,0.72)",
      "background:none",
    ]);
  });

  test("draws bars to their share of the full one, clipped to it", async () => {
    const rows = [0, 0.25, 1, 1.5, -1].map((value) => ({ label: "a", value, text: "b" }));
    const html = await new Figure({ title: "a", blocks: [{ kind: "bars", width: 200, rows }] }).html();
    expect(Array.from(html.matchAll(/;width:([\d.]+)%/g), ([, width]) => Number(width))).toEqual([0, 25, 100, 100, 0]);
  });

  test("breaks lines of the caption where it does", async () => {
    expect(await new Figure({ title: "a", caption: "one\ntwo", blocks: [] }).html()).toContain("one<br>two");
  });
});

test("escapeHtml makes the five characters with a meaning harmless", () => {
  expect(escapeHtml(`<a href="x" b='y'>&amp;</a>`)).toBe(
    "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;",
  );
});
