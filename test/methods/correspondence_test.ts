import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { correspondence } from "../../lib/methods/correspondence.ts";
import { googlenet, mobilenetV2, resnet50, squeezenet } from "../../lib/model/architectures/branched.ts";
import { alexnet, catsVsDogsConvnet, tinyVgg, vgg16, vgg19 } from "../../lib/model/architectures/builders.ts";
import { smallZfnet, zfnet } from "../../lib/model/architectures/zfnet.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { seenByCells } from "../../lib/model/receptive_field.ts";
import { forward } from "../../lib/probe/forward.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { ALL } from "../long.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";

const tf = await ensureBackend();

/** Noise of several grains, larger than the image that is cut out of it. */
function noise(side: number): (top: number, left: number, size: number) => ReturnType<typeof ndarray> {
  const random = uniforms(11);
  const fine = Float32Array.from({ length: side * side * 3 }, () => 90 * random());
  const coarse = Float32Array.from({ length: 99 * 99 * 3 }, () => 160 * random());
  return (top, left, size) =>
    ndarray(
      Float32Array.from({ length: size * size * 3 }, (_, i) => {
        const [y, x, c] = [Math.floor(i / 3 / size) + top, Math.floor(i / 3) % size + left, i % 3];
        return fine[(y * side + x) * 3 + c] + coarse[(Math.floor(y / 6) * 99 + Math.floor(x / 6)) * 3 + c];
      }),
      [size, size, 3],
    );
}

/** The cells of a layer that see nothing beyond the border, along one side. */
function inner(model: Model, layer: string, size: number): { cell: number; centre: number }[] {
  const seen = seenByCells(model.network, layer, [size, size, 3]);
  if (!seen || seen.axes.some((axis) => axis === null)) return [];
  return Array.from({ length: seen.cells[0] }, (_, cell) => cell).flatMap((cell) => {
    const [[start, end]] = seen.at([cell, cell])!;
    return start >= 0 && end <= size ? [{ cell, centre: (start + end - 1) / 2 }] : [];
  });
}

const builders: Record<string, () => Promise<Model>> = {
  catsVsDogsConvnet,
  tinyVgg,
  smallZfnet,
  ...ALL && { alexnet, zfnet, vgg16, vgg19, googlenet, squeezenet, resnet50, mobilenetV2 },
};

describe("a translation by a multiple of a layer's stride moves its matches by exactly that", () => {
  test.each(Object.keys(builders))("%s", async (name) => {
    const model = await builders[name]();
    const size = model.inputShape[0]!;
    const cut = noise(size + 80);
    // The deepest layer with some cells that see nothing beyond the border, and one half way there.
    const placed = model.leaves.filter(({ kind, receptiveField, outputShape }) =>
      /Conv|Pool|Activation|ReLU/.test(kind) && receptiveField?.exact && receptiveField.stride > 0 &&
      outputShape.length === 3
    );
    const usable = placed.filter(({ name, receptiveField }) =>
      inner(model, name, size).length >= 4 && receptiveField!.stride <= 32
    );
    const layers = [...new Set([usable[Math.floor(usable.length / 2)].name, usable.at(-1)!.name])];
    for (const layer of layers) {
      const { stride } = model.layer(layer).receptiveField!;
      const cells = inner(model, layer, size);
      const steps = [1, 2];
      const shift = steps.map((step) => step * stride);
      const [{ data, shape: [, , columns, channels] }] = await forward(
        model,
        [model.input(await model.view(cut(0, 0, size)))],
        [layer],
      );
      // Of features of which a single one is not 0 all are alike in direction: such a cell is found anywhere.
      const telling = (y: number, x: number) => {
        const at = (y * columns + x) * channels;
        return data.subarray(at, at + channels).filter((value) => value !== 0).length > 2;
      };
      // What is at a cell of the first image is found `steps` cells up and to the left in the other.
      const inside = cells.slice(2);
      const all = inside.flatMap((y) =>
        inside.filter((x) => telling(y.cell, x.cell)).map((x) => [y.centre, x.centre] as [number, number])
      );
      expect(all.length).toBeGreaterThan(inside.length ** 2 / 4);
      const points = all.filter((_, i) => i % Math.ceil(all.length / 80) === 0);
      const found = await correspondence(model, cut(0, 0, size), cut(shift[0], shift[1], size), { layer, points });
      for (const { point, match, similarity } of found.rows) {
        expect(match, `${layer}, stride ${stride}`).toEqual([point[0] - shift[0], point[1] - shift[1]]);
        expect(similarity).toBeCloseTo(1, 4);
      }
    }
    model.dispose();
  }, 120_000);
});

describe("correspondence", () => {
  const waves = wavesNet().then((net) => loadModel(net, { name: "waves" }));
  const image = landscape();

  test("equals a naive loop over the layer's outputs", async () => {
    const model = await waves;
    const [layer] = model.leaves.filter(({ kind }) => /Conv/.test(kind)).map(({ name }) => name);
    const other = landscape();
    other.data.reverse();
    const found = await correspondence(model, image, other, { layer, refine: "none" });
    const views = await Promise.all([image, other].map((one) => model.view(one)));
    const [a, b] = await Promise.all(
      views.map(async (view) => (await forward(model, [model.input(view)], [layer]))[0]),
    );
    const [, rows, columns, channels] = a.shape;
    const seen = seenByCells(model.network, layer, views[0].shape)!;
    const centre = (cell: number) => {
      const [[start, end]] = seen.at([cell, cell])!;
      return (start + end - 1) / 2;
    };
    const unit = (map: typeof a, y: number, x: number) => {
      const at = (y * columns + x) * channels;
      const values = [...map.data.subarray(at, at + channels)];
      const norm = Math.hypot(...values);
      return values.map((value) => norm > 0 ? value / norm : 0);
    };
    expect(found.rows.length).toBe(36);
    for (const { point: [py, px], match, similarity } of found.rows) {
      // Between the four cells around the point.
      const low = (at: number) => {
        let cell = 0;
        while (cell < rows - 2 && centre(cell + 1) <= at) cell++;
        return [cell, Math.min(1, Math.max(0, (at - centre(cell)) / (centre(cell + 1) - centre(cell))))];
      };
      const [[y, v], [x, u]] = [low(py), low(px)];
      const query = new Array(channels).fill(0);
      for (
        const [dy, dx, weight] of [[0, 0, (1 - v) * (1 - u)], [0, 1, (1 - v) * u], [1, 0, v * (1 - u)], [1, 1, v * u]]
      ) {
        unit(a, y + dy, x + dx).forEach((value, c) => query[c] += weight * value);
      }
      const norm = Math.hypot(...query);
      let [most, best] = [-Infinity, [0, 0]];
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const cosine = unit(b, row, column).reduce((sum, value, c) => sum + value * query[c], 0) / (norm || 1);
          if (cosine > most + 1e-6) [most, best] = [cosine, [row, column]];
        }
      }
      expect(similarity).toBeCloseTo(most, 4);
      expect(match).toEqual(best.map(centre));
    }
  });

  test("finds an image in itself, says so of the way back, and shows it", async () => {
    const model = await waves;
    const found = await correspondence(model, image, [image, image], { points: [[8, 10], [20.5, 3.25]] });
    expect(found.rows).toHaveLength(4);
    for (const { point, match, cycle, consistent, similarity } of found.rows) {
      expect(match[0]).toBeCloseTo(point[0], 0);
      expect(match[1]).toBeCloseTo(point[1], 0);
      expect(cycle).toBeLessThan(1);
      expect(consistent).toBe(true);
      expect(similarity).toBeGreaterThan(0.9);
    }
    const html = await found.figure().html();
    expect(html).toContain("convlens-likeness");
    expect(html).toContain("<img");
    expect((await found.table()).columns).toContain("matchY");
  });

  test("says what is wrong, and leaves no tensor", async () => {
    const model = await waves;
    const dense = model.leaves.findLast(({ kind }) => kind === "Dense")!.name;
    const before = tf.memory().numTensors;
    await expect(correspondence(model, image, image, { layer: dense })).rejects.toThrow(
      /finds places by a layer's cells, and those of ".*" have no place in the image\. Name one whose cells have, as "/,
    );
    await expect(correspondence(model, image, [], {})).rejects.toThrow("received an empty array");
    await expect(correspondence(model, image, image, { points: [[1, 999]] })).rejects.toThrow(
      /Point 0, \[1, 999\], lies outside of the image/,
    );
    await expect(correspondence(model, image, image, { points: [] })).rejects.toThrow("points is empty");
    await expect(correspondence(model, image, image, { points: [[1]] as never })).rejects.toThrow(
      "are pairs of numbers [y, x]",
    );
    expect(tf.memory().numTensors).toBe(before);
  });
});
