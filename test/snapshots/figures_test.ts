import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeBytes, encodePng } from "../../lib/codec.ts";
import type { Figure } from "../../lib/figure/figure.ts";
import { displaySymbol } from "../../lib/notebook/display.ts";
import { useBackend } from "../../lib/runtime/backend.ts";
import * as figures from "./figures.ts";
import { type Decoded, difference, matchHtml, matchPng, readable } from "./snapshot.ts";

const folder = new URL("figures/", import.meta.url);
const strict = Deno.env.get("CI") !== undefined;

/** The bundle of a figure: HTML with an image and words for it, a PNG, text. */
async function checkBundle(figure: Figure): Promise<void> {
  const bundle = await figure[displaySymbol]() as Record<string, string>;
  const types = Object.keys(bundle).filter((type) => type !== "application/vnd.plotly.v1+json").sort();
  expect(types).toEqual(["image/png", "text/html", "text/plain"]);
  // What is all words and numbers needs none.
  const images = bundle["text/html"].match(/<img [^>]*>/g) ?? [];
  expect(images.length > 0).toBe(figure.blocks.some(({ kind }) => kind !== "table"));
  for (const image of images) {
    expect(image).toMatch(/^<img src="data:image\/(?:png|webp);base64,[A-Za-z0-9+/]+=*" alt="[^"]{5,}"/);
  }
  const { width, height } = await decodeBytes(Uint8Array.fromBase64(bundle["image/png"]), { name: figure.title });
  expect(width).toBeGreaterThan(100);
  expect(height).toBeGreaterThan(50);
  expect(bundle["text/plain"]).toBe(figure.text);
  // Which model or image it is about.
  expect(figure.text).toContain(figure.title.split(/ · |:/)[0]);
  expect(bundle["text/html"]).toContain(figure.title);
}

describe("each figure looks as its snapshot, and has a bundle with an image, words for it and text", () => {
  // Plain JavaScript in double precision: the same digits everywhere.
  beforeAll(() => useBackend("cpu"));

  for (const [name, make] of Object.entries(figures)) {
    test(name, async () => {
      const figure = await make();
      if (typeof figure === "string") return await matchHtml(name, figure, { folder, strict });
      // Both are compared before either fails, so that both are written.
      const [html, png] = await Promise.allSettled([
        figure.html().then((html) => matchHtml(name, html, { folder, strict })),
        figure.png().then((png) => matchPng(name, png, { folder, strict })),
      ]);
      const failed = [html, png].flatMap((result) => result.status === "rejected" ? [result.reason.message] : []);
      if (failed.length) throw new Error(failed.join("\n"));
      await checkBundle(figure);
    });
  }

  test("no snapshot is left without its figure, and all together are below 5 MB", async () => {
    let size = 0;
    for await (const { name } of Deno.readDir(folder)) {
      if (/-changed\.\w+$/.test(name)) continue;
      expect(Object.keys(figures), name).toContain(name.replace(/\.(html|png)$/, ""));
      size += (await Deno.stat(new URL(name, folder))).size;
    }
    expect(size).toBeLessThan(5_000_000);
  });
});

describe("snapshots", () => {
  let own: URL;
  beforeAll(async () => {
    own = pathToFileURL(`${await Deno.makeTempDir()}/`);
  });
  afterAll(() => Deno.remove(own, { recursive: true }));

  const names = async () => (await Array.fromAsync(Deno.readDir(own))).map(({ name }) => name).sort();
  const png = (shade: number) => encodePng(new Uint8Array(100 * 100 * 3).fill(shade), 100, 100, 3);

  test("are written the first time, but not where CI runs", async () => {
    await expect(matchHtml("new", "<p>1</p>", { folder: own, strict: true })).rejects.toThrow("no snapshot new.html");
    expect(await names()).toEqual([]);
    await matchHtml("new", "<p>1</p>", { folder: own, strict: false });
    await matchPng("new", await png(100), { folder: own, strict: false });
    expect(await names()).toEqual(["new.html", "new.png"]);
  });

  test("write what has changed beside them, and take it away once it is as before", async () => {
    const options = { folder: own, strict: true };
    await expect(matchHtml("new", "<p>2</p>", options)).rejects.toThrow(
      'new.html has changed: line 1 is "<p>2</p>"; wanted "<p>1</p>". The new one was written beside it as ' +
        "new-changed.html",
    );
    await expect(matchHtml("new", "<p>1</p>\n<p>more</p>", options)).rejects.toThrow('line 2 is "<p>more</p>"');
    await expect(matchPng("new", await png(110), options)).rejects.toThrow(
      "10000 of 10000 pixels differ by more than 8 of 255, the first at x 0, y 0 (allowed: 1)",
    );
    expect(await names()).toEqual(["new-changed.html", "new-changed.png", "new.html", "new.png"]);
    await matchHtml("new", "<p>1</p>", options);
    await matchPng("new", await png(100), options);
    expect(await names()).toEqual(["new.html", "new.png"]);
  });

  test("notice a lost outline and a slight change of all colours, but no rounding", () => {
    const size = 200;
    const picture = (change: (x: number, y: number) => number): Decoded => ({
      data: Uint8Array.from(
        { length: size * size * 3 },
        (_, i) => 90 + change(Math.floor(i / 3) % size, Math.floor(i / 3 / size)),
      ),
      width: size,
      height: size,
    });
    const plain = picture(() => 0);
    expect(difference(plain, plain)).toBeUndefined();
    expect(difference(picture((x, y) => y === 3 && x < 24 ? 40 : 0), plain)).toMatch("24 of 40000 pixels differ");
    expect(difference(picture(() => 1), plain)).toMatch("the mean difference is 1.000");
    expect(difference(picture((x, y) => x === 7 && y === 9 ? 2 : 0), plain)).toBeUndefined();
    expect(difference({ ...plain, width: 100, height: 400 }, plain)).toBe("it is 100 × 400 pixels; wanted 200 × 200");
  });

  test("put placeholders for pictures and for packed numbers", async () => {
    const base64 = (await encodePng(new Uint8Array(60), 4, 5, 3)).toBase64();
    expect(readable(`<b><img src="data:image/png;base64,${base64}"></b>`)).toBe(
      '<b>\n<img src="[PNG, 4 × 5]">\n</b>\n',
    );
    // Packed numbers may differ in their last digit from machine to machine.
    expect(readable(`{"halves":"${"AB".repeat(50)}"}`)).toBe('{"halves":"[100 characters]"}\n');
  });
});
