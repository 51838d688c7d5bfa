import { describe, expect, test } from "vitest";
import { decodeBytes } from "../../lib/codec.ts";
import { embeddingGrid } from "../../lib/methods/embedding_grid.ts";
import { tsne } from "../../lib/methods/tsne.ts";
import { digits } from "../embed/digits.ts";

/** Nine images of one shade each, whose places on a map are those of a 3 × 3 grid, from the last cell to the first. */
function nine() {
  const side = 4;
  const codes = {
    data: new Float32Array(18),
    shape: [9, 2],
    ids: Array.from({ length: 9 }, (_, i) => `image ${i}`),
    labels: Array.from({ length: 9 }, (_, i) => i % 2 ? "odd" : undefined),
    thumbnails: {
      side,
      data: new Uint8Array(9 * side * side * 3).map((_, i) => 25 * Math.floor(i / (side * side * 3))),
    },
    about: "shades",
  };
  // Image 0 lies at the bottom right, image 8 at the top left.
  const map = {
    data: Float32Array.from({ length: 18 }, (_, i) => i % 2 ? Math.floor(i / 6) : -(i / 2 % 3)),
    shape: [9, 2],
  };
  return { codes, map };
}

describe("embeddingGrid", () => {
  test("puts each image where the map has it, and paints it there", async () => {
    const { codes, map } = nine();
    const grid = embeddingGrid(codes, map, { columns: 3 });
    expect(grid.shape).toEqual([3, 3]);
    expect([...grid.cells]).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 0]);
    expect(grid.rows[1]).toEqual({ id: "image 7", label: "odd", row: 0, column: 1 });
    expect(grid.rows[8]).toEqual({ id: "image 0", label: null, row: 2, column: 2 });
    expect((await grid.table()).shape).toEqual({ height: 9, width: 4 });
    const html = await grid.figure().html();
    const { words, rows, columns } = JSON.parse(html.match(/application\/json">([\s\S]*?)<\/script>/)![1]);
    expect([rows, columns, words[0], words[1]]).toEqual([3, 3, "image 8", "image 7\nodd"]);
    // The picture stands there once, as what is shown without scripts.
    const picture = html.match(/src="data:image\/webp;base64,([^"]+)"/)![1];
    const image = await decodeBytes(Uint8Array.fromBase64(picture), { name: "grid" });
    expect([image.width, image.height]).toEqual([12, 12]);
    [8, 7, 6, 5, 4, 3, 2, 1, 0].forEach((shade, cell) => {
      const at = ((Math.floor(cell / 3) * 4 + 2) * 12 + (cell % 3) * 4 + 2) * 3;
      expect(Math.abs(image.data[at] - 25 * shade)).toBeLessThan(12);
    });
    expect(grid.figure().text).toContain("9 images on 3×3 cells");
  });

  test("takes the first two of more dimensions, and says so", () => {
    const { codes, map } = nine();
    const data = Float32Array.from(
      { length: 27 },
      (_, i) => i % 3 < 2 ? map.data[Math.floor(i / 3) * 2 + i % 3] : i * i % 7,
    );
    const grid = embeddingGrid(codes, { data, shape: [9, 3] });
    expect([...grid.cells]).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 0]);
    expect(grid.figure().caption).toContain("Of the map's 3 dimensions the first two count.");
    expect(embeddingGrid(codes, map).figure().caption).not.toContain("dimensions");
    expect(() => embeddingGrid(codes, { data: new Float32Array(9), shape: [9, 1] })).toThrow(
      "two coordinates at least",
    );
  });

  test("keeps neighbours of a t-SNE map together, and its cost below that of any other order", async () => {
    const { points, labels } = await digits();
    const count = 400;
    const some = {
      data: points.data.slice(0, 64 * count),
      shape: [count, 64],
      labels: labels.slice(0, count).map(String),
    };
    const map = await tsne(some, { perplexity: 15, iterations: 300 });
    const thumbnails = { side: 2, data: new Uint8Array(count * 12) };
    const grid = embeddingGrid({ ...some, thumbnails }, map);
    expect(grid.shape).toEqual([20, 20]);
    expect([...grid.cells].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    let same = 0;
    grid.cells.forEach((image, cell) => {
      if (cell % 20 < 19 && some.labels[image] === some.labels[grid.cells[cell + 1]]) same++;
    });
    // By lot one in ten.
    expect(same / 380).toBeGreaterThan(0.7);
    const nearest = embeddingGrid({ ...some, thumbnails }, map.points, { arrangement: "nearest" });
    expect(nearest.cost).toBeLessThanOrEqual(0.5);
    expect(nearest.rows.length).toBeLessThan(count);
    expect(nearest.figure().caption).toContain(`${nearest.rows.length} of 400`);
  });

  test("refuses codes without thumbnails, another number of points, and names it does not know", () => {
    const { codes, map } = nine();
    expect(() => embeddingGrid({ ...codes, thumbnails: undefined }, map)).toThrow("{ thumbnail: 32 }");
    expect(() => embeddingGrid(codes, { data: new Float32Array(4), shape: [2, 2] })).toThrow(
      "codes of 9 images: received an embedding of 2 points",
    );
    expect(() => embeddingGrid(codes, {} as never)).toThrow("received an object.");
    expect(() => embeddingGrid(codes, map, { arrangement: "nearst" as never })).toThrow('"nearest"');
    expect(() => embeddingGrid(codes, map, { columns: 1.5 })).toThrow("received 1.5");
  });
});
