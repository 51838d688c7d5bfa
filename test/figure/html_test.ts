import { describe, expect, test } from "vitest";
import { encodePng } from "../../lib/codec.ts";
import { Figure, type FigureParts } from "../../lib/figure/figure.ts";
import { escapeHtml } from "../../lib/figure/html.ts";

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
    ],
  };
}

const htmlOf = (words: string) => new Figure(parts(words)).html();

describe("figure HTML", () => {
  test("shows words from outside as text, wherever they stand", async () => {
    const html = await htmlOf(EVIL);
    expect(html).not.toContain("<script>alert");
    expect(html.replace(/<script>[\s\S]*<\/script>/, "")).not.toContain("<script");
    // Title, caption twice, alt, two headings, a note, the hover's label, bar and its text, a column and a cell.
    expect(html.split("&gt;&lt;script&gt;alert(1)&lt;/script&gt;")).toHaveLength(1 + 12);
    // No quote of it ends an attribute: every tag is made of whole attributes.
    for (const [tag] of html.replace(/<script>[\s\S]*<\/script>/, "").matchAll(/<[a-z][^>]*>/g)) {
      expect(tag).toMatch(/^<[a-z]+( [a-z-]+=("[^"]*"|'[^']*'))*>$/);
    }
  });

  test("gives the hover its grid as JSON that reads back, whatever its labels hold", async () => {
    const html = await htmlOf(EVIL + "\n& é");
    const json = html.match(/data-convlens='([^']*)'/)![1]
      .replace(/&(amp|lt|gt|#39);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">", "#39": "'" })[name as "amp"]!);
    expect(JSON.parse(json)).toEqual({ columns: 1, tile: [2, 3], labels: [EVIL + "\n& é"] });
  });

  test("holds each picture as an img of its own size with words for it, never blurred", async () => {
    const html = await htmlOf("a dog");
    const [image, ...more] = html.match(/<img [^>]*>/g)!;
    expect(more).toEqual([]);
    expect(image).toContain('alt="a dog" width="2" height="3"');
    expect(image).toContain("image-rendering:pixelated");
    const base64 = image.match(/src="data:image\/png;base64,([^"]+)"/)![1];
    expect(base64).toBe((await encodePng(pixels.data, 2, 3, 3)).toBase64());
  });

  test("carries the hover's script only where there is something to tell", async () => {
    expect(await htmlOf("a")).toContain("<script>");
    const plain = new Figure({ title: "a", blocks: [{ kind: "picture", pixels, alt: "a" }] });
    expect(await plain.html()).not.toContain("<script");
  });

  test("leaves text in the page's own colour, and lays no ground under it: light and dark themes both fit", async () => {
    const html = (await htmlOf("words")).replace(/<script>[\s\S]*<\/script>/, "");
    const styles = Array.from(html.matchAll(/style="([^"]*)"/g), ([, style]) => style);
    expect(styles.length).toBeGreaterThan(10);
    for (const style of styles) expect(style).not.toMatch(/(^|;)\s*color\s*:/);
    const grounds = new Set(styles.flatMap((style) => style.match(/background(-color)?:[^;]+/g) ?? []));
    expect([...grounds].sort()).toEqual([
      "background-color:#3b82c4",
      "background-color:rgba(128,128,128,.35)",
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
