import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Dataset, dataset } from "../../lib/data/dataset.ts";
import { InputReader } from "../../lib/model/inputs.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { redImage, tinyNet } from "../nets.ts";

const image = (red: number) => redImage(Array.from({ length: 4 }, () => [red, 0, 0, 0]));
const items = [1, 2, 3].map((red) => ({ id: `red ${red}`, image: image(red), label: red > 2 ? "much" : "little" }));

let model: Model;
beforeAll(async () => {
  model = await loadModel(await tinyNet(), { preprocess: "tf", name: "tiny" });
});
afterAll(() => model.dispose());

describe("InputReader", () => {
  test("gives each image as the model sees it and as it reads it, with its id, label and place", async () => {
    const reader = new InputReader("test", model, dataset(items));
    expect(reader.size).toBe(3);
    const seen = await Array.fromAsync(reader);
    expect(seen.map(({ id, label, place, view }) => [id, label, place, view.data[0]])).toEqual([
      ["red 1", "little", 0, 1],
      ["red 2", "little", 1, 2],
      ["red 3", "much", 2, 3],
    ]);
    const places: number[] = [];
    const inputs = reader.inputs(({ place }) => places.push(place));
    expect(inputs.size).toBe(3);
    const read = await Array.fromAsync(inputs);
    expect(places).toEqual([0, 1, 2]);
    expect(read).toEqual(seen.map(({ view }) => model.input(view)));
    expect(read[1].data[0]).toBeCloseTo(2 / 127.5 - 1, 6);
  });

  test("makes a grey image one of three equal colours", async () => {
    const grey = { data: Float32Array.from({ length: 16 }, (_, i) => i), shape: [4, 4, 1] };
    const [{ view }] = await Array.fromAsync(new InputReader("test", model, dataset([{ image: grey }])));
    expect(view.shape).toEqual([4, 4, 3]);
    expect(Array.from(view.data.subarray(3, 9))).toEqual([1, 1, 1, 2, 2, 2]);
  });

  test("passes over images that were read before, unread, if they are the same", async () => {
    const torn = { id: "torn", image: new Uint8Array([1, 2, 3]), label: "torn" };
    // Images that are known before, and images that come one after the other.
    const streamed = dataset({
      size: 4,
      async *[Symbol.asyncIterator]() {
        yield* [...items, torn];
      },
    });
    for (const images of [dataset([...items, torn]), streamed]) {
      const reader = new InputReader("test", model, images, { after: { count: 2, id: "red 2" } });
      const inputs = reader.inputs();
      expect([reader.size, inputs.size]).toEqual([4, 2]);
      const seen = await Array.fromAsync(reader);
      expect(seen.map(({ id, index, place }) => [id, index, place])).toEqual([["red 3", 2, 0]]);
      expect([inputs.missing, reader.skipped.map(({ id }) => id)]).toEqual([1, ["torn"]]);
      expect(await Array.fromAsync(new InputReader("test", model, images, { after: { count: 3 } }))).toEqual([]);
      expect(await Array.fromAsync(new InputReader("test", model, images, { after: { count: 4, id: "torn" } })))
        .toEqual(
          [],
        );
      const others = new InputReader("test", model, images, { after: { count: 2, id: "red 1" } });
      await expect(Array.fromAsync(others)).rejects.toThrow(
        /Image 1 of the data set "images" is "red 2", and was "red 1" before: its images have changed/,
      );
    }
  });

  test("reads no image beyond its limit, and stops when told", async () => {
    let read = 0;
    const counting: Dataset = {
      name: "counting",
      size: 3,
      async *[Symbol.asyncIterator]() {
        for await (const item of dataset(items)) {
          read++;
          yield item;
        }
      },
    };
    const reader = new InputReader("test", model, counting, { limit: 2 });
    expect([reader.size, (await Array.fromAsync(reader)).length, read]).toEqual([2, 2, 2]);
    expect(new InputReader("test", model, counting, { limit: 9 }).size).toBe(3);
    const aborted = new InputReader("test", model, counting, { signal: AbortSignal.abort(new Error("enough")) });
    await expect(Array.fromAsync(aborted)).rejects.toThrow("enough");
  });

  test("names a data set that is none, is empty, says a wrong size, or lacks a label", async () => {
    const own = dataset(items);
    const lying = (size: number): Dataset => ({
      name: "liar",
      size,
      [Symbol.asyncIterator]: () => own[Symbol.asyncIterator](),
    });
    expect(() => new InputReader("codes", model, 5 as never)).toThrow(/codes wants a data set.*received 5/);
    expect(() => new InputReader("codes", model, lying(0))).toThrow(/"liar" holds no image/);
    await expect(Array.fromAsync(new InputReader("x", model, lying(4)))).rejects.toThrow(/holds 4 images, and gave 3/);
    await expect(Array.fromAsync(new InputReader("x", model, lying(2)))).rejects.toThrow(
      /holds 2 images, and gave more/,
    );
    const bare = dataset([...items, { id: "bare", image: image(0) }], { name: "some" });
    await expect(Array.fromAsync(new InputReader("x", model, bare, { labelled: true }))).rejects.toThrow(
      'The image "bare" of "some" has no label; wanted one for each image.',
    );
  });
});
