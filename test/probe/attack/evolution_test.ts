import { describe, expect, test } from "vitest";
import { mutatedCppn, newCppn, paintCppn, type Random } from "../../../lib/probe/attack/cppn.ts";
import { type Encoding, evolve } from "../../../lib/probe/attack/evolution.ts";
import { normalStream, randomStream } from "../../../lib/random.ts";

const randomOf = (seed: number): Random => ({ uniform: randomStream(seed), normal: normalStream(seed) });

describe("a painting network", () => {
  const grown = (seed: number, steps: number, channels = 3) => {
    const random = randomOf(seed);
    let net = newCppn(channels, random);
    for (let i = 0; i < steps; i++) net = mutatedCppn(net, random);
    return net;
  };

  test("is the formula that it says, by hand", () => {
    // One output, sine of 2·row + 0.5; and a node between the column and it: the size of −3·column.
    const nodes = ["input", "input", "input", "input", "absolute", "sine"];
    const links = [
      { from: 0, to: 5, weight: 2 },
      { from: 3, to: 5, weight: 0.5 },
      { from: 1, to: 4, weight: -3 },
      { from: 4, to: 5, weight: 0.1 },
    ];
    const pixels = paintCppn({ nodes, links, channels: 1 }, 3, 2);
    const places = [-1, 0, 1].flatMap((row) => [-0.5, 0.5].map((column) => [Math.PI * row, Math.PI * column]));
    expect([...pixels]).toEqual(places.map(([row, column]) => {
      const value = Math.sin(2 * row + 0.5 + 0.1 * Math.min(3, Math.abs(-3 * column)));
      return Math.round(255 * (value + 1) / 2);
    }));
  });

  test("paints the same for a seed, another picture for another", () => {
    expect(paintCppn(grown(3, 30), 9, 7)).toEqual(paintCppn(grown(3, 30), 9, 7));
    expect(paintCppn(grown(3, 30), 9, 7)).not.toEqual(paintCppn(grown(4, 30), 9, 7));
  });

  test("grows; each link leads to a later node that is no input, and no two are the same", () => {
    for (let seed = 0; seed < 20; seed++) {
      const { nodes, links, channels } = grown(seed, 60, 1 + seed % 4);
      expect(nodes.length).toBeGreaterThan(8 + channels);
      expect(nodes.filter((kind) => kind === "input")).toHaveLength(4);
      for (const { from, to } of links) {
        expect(to).toBeGreaterThan(from);
        expect(to).toBeGreaterThanOrEqual(4);
        // Outputs are read by nobody.
        expect(from).toBeLessThan(nodes.length - channels);
      }
      expect(new Set(links.map(({ from, to }) => `${from} ${to}`)).size).toBe(links.length);
    }
  });

  test("parents stay as they are", () => {
    const parent = grown(5, 10);
    const before = structuredClone(parent);
    mutatedCppn(parent, randomOf(6));
    expect(parent).toEqual(before);
  });
});

describe("evolution", () => {
  /** A world of two classes: bright on the left and dark on the right, and the other way round. */
  const look = (pictures: readonly Float32Array[]) =>
    Promise.resolve(pictures.map((pixels) => {
      const halves = [0, 0];
      pixels.forEach((value, i) => halves[i % 6 < 3 ? 0 : 1] += value / (255 * pixels.length / 2));
      return halves.map((bright, side) => bright * (1 - halves[1 - side]));
    }));
  const options = (encoding: Encoding, more = {}) => ({
    encoding,
    target: 1,
    enough: 0.9,
    children: 4000,
    batchSize: 20,
    seed: 1,
    ...more,
  });

  test.each<Encoding>(["direct", "cppn"])(
    "%s: breeds what is asked for, of bytes, and never forgets",
    async (encoding) => {
      const { pixels, start, history, children } = await evolve(look, [4, 6, 1], options(encoding));
      const [[, first], [, last]] = await look([start, pixels]);
      expect(first).toBeLessThan(0.8);
      expect(last).toBeGreaterThanOrEqual(0.9);
      expect(history.at(-1)).toBe(last);
      expect(children).toBe(20 * (history.length - 1));
      history.forEach((sure, i) => expect(sure).toBeGreaterThanOrEqual(history[i - 1] ?? 0));
      for (const value of pixels) expect(Number.isInteger(value) && value >= 0 && value <= 255).toBe(true);
    },
  );

  test.each<Encoding>(["direct", "cppn"])("%s: repeats with its seed", async (encoding) => {
    const run = (seed: number) => evolve(look, [4, 6, 1], options(encoding, { seed, children: 60, enough: 2 }));
    expect(await run(5)).toEqual(await run(5));
    expect((await run(5)).pixels).not.toEqual((await run(6)).pixels);
  });

  test("ends after so many children, and at a signal", async () => {
    const told: number[] = [];
    const onProgress = (done: number) => told.push(done);
    const { children } = await evolve(look, [4, 6, 1], options("direct", { children: 50, enough: 2, onProgress }));
    expect(children).toBe(50);
    expect(told).toEqual([20, 40, 50]);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(evolve(look, [4, 6, 1], options("cppn", { signal }))).rejects.toThrow("enough");
  });
});
