import { describe, expect, test } from "vitest";
import { Image } from "../../lib/data/image.ts";
import type { Sheet } from "../../lib/figure/blocks.ts";
import { Prediction } from "../../lib/results/prediction.ts";
import { collectPredictions } from "../../lib/results/predictions.ts";
import { Collection } from "../../lib/results/result.ts";

const photo = new Image({ data: new Float32Array(12).fill(90), shape: [2, 2, 3] }, { name: "grey", source: "here" });

/** What a net of two classes says of an image. */
function said(name: string, label: string | undefined, cat: number, right?: boolean): Prediction {
  const rows = [{ label: "cat", index: 0, probability: cat }, { label: "dog", index: 1, probability: 1 - cat }];
  rows.sort((a, b) => b.probability - a.probability);
  const names = { model: "pets", image: name, seen: [2, 2, 3], id: name, label, right };
  const about = { name: "out", kind: "classes", each: "classes", activation: "softmax", which: "", count: 2 };
  return new Prediction({ ...about, rows }, photo, names);
}

const four = collectPredictions(
  [
    said("img10", "cat", 0.8, true),
    said("img2", "dog", 0.997, false),
    said("img1", "dog", 0.4, true),
    said("<b>3", "dog", 0.6, false),
  ],
  "pets · predictions",
  [{ id: "gone", reason: "it is empty" }],
);
const sheetOf = (options = {}, all = four) => all.figure(options).blocks[0] as Sheet;
const ids = ({ tiles }: Sheet) => tiles.map(({ words }) => words.split("\n")[0]);

describe("a contact sheet", () => {
  test("has each image with what is predicted and its label, wrong ones outlined", () => {
    const { title, caption, text } = four.figure();
    expect(title).toBe("pets · predictions (4) · 2 of 4 right (50.0 %)");
    expect(caption).toContain("Outlined in orange and marked ✗: the two differ. 1 image could not be read");
    const { tiles } = sheetOf();
    expect(tiles.map(({ lines }) => lines)).toEqual([
      ["80 % cat", "cat"],
      ["✗ >99 % cat", "dog"],
      ["60 % dog", "dog"],
      ["✗ 60 % cat", "dog"],
    ]);
    expect(tiles.map(({ outlined }) => outlined)).toEqual([false, true, false, true]);
    expect(tiles[1].words).toBe("img2\nlabel: dog\ncat 99.7 %\ndog 0.3 %");
    expect(text).toMatch(/img2 +dog +cat +99\.7 % +✗/);
    expect(Deno.inspect(four)).toBe(text);
  });

  test("is sorted by the option, and in the page by buttons", async () => {
    expect(ids(sheetOf({ sort: "id" }))).toEqual(["<b>3", "img1", "img2", "img10"]);
    expect(ids(sheetOf({ sort: "label" }))).toEqual(["img10", "img2", "img1", "<b>3"]);
    expect(ids(sheetOf({ sort: "confidence" }))).toEqual(["img1", "<b>3", "img10", "img2"]);
    expect(ids(sheetOf({ sort: "wrong" }))).toEqual(["img2", "<b>3", "img1", "img10"]);
    const sheet = sheetOf({ sort: "wrong" });
    expect(sheet.orders!.map(({ name, places }) => [name, places.map((at) => ids(sheet)[at])])).toEqual([
      ["wrong first", ["img2", "<b>3", "img1", "img10"]],
      ["as given", ["img10", "img2", "img1", "<b>3"]],
      ["id", ["<b>3", "img1", "img2", "img10"]],
      ["label", ["img10", "img2", "img1", "<b>3"]],
      ["least certain first", ["img1", "<b>3", "img10", "img2"]],
    ]);
    const html = await four.figure().html();
    expect(html.match(/<img /g)).toHaveLength(4);
    expect(html).not.toContain("<b>");
    expect(html.match(/outline:3px/g)).toHaveLength(2);
  });

  test("shows the wrong ones first where there are more than are drawn, and says how many", () => {
    expect(ids(sheetOf({ images: 3 }))).toEqual(["img2", "<b>3", "img1"]);
    expect(ids(sheetOf({ images: 3, sort: "given" }))).toEqual(["img10", "img2", "img1"]);
    expect(sheetOf({ images: 3 }).left).toBe(1);
    expect(four.figure({ images: 3 }).title).toContain("2 of 4 right");
    expect(() => four.figure({ images: 0 })).toThrow("images must be a whole number ≥ 1");
    expect(() => four.figure({ sort: "name" as never })).toThrow('sort must be "given", "id"');
    expect(() => four.figure({ order: 1 } as never)).toThrow('figure has no option "order"');
  });

  test("calls nothing wrong that cannot be", () => {
    const strange = collectPredictions([said("a", "puppy", 0.8), said("b", undefined, 0.1)], "pets · predictions");
    const { title, caption } = strange.figure();
    expect(title).toBe("pets · predictions (2)");
    expect(caption).toContain('labels, as "puppy", are none of the model\'s classes, so none is called right or wrong');
    const { tiles, orders } = sheetOf({}, strange);
    expect(tiles.map(({ lines, outlined }) => [...lines, outlined])).toEqual([["80 % cat", "puppy", false], [
      "90 % dog",
      "b",
      false,
    ]]);
    expect(orders!.map(({ name }) => name)).not.toContain("wrong first");
  });

  test("is an array of results, with a table of all", async () => {
    expect(four).toBeInstanceOf(Collection);
    expect(four.filter(({ right }) => !right)).toHaveLength(2);
    expect(four.skipped).toHaveLength(1);
    const rows = (await four.table()).toRecords();
    expect(rows).toHaveLength(8);
    expect(rows[2]).toMatchObject({ result: 1, image: "img2", actual: "dog", label: "cat", index: 0 });
  });
});
