/**
 * Walks for the strongest patches of all layers, against bare batches of the same images through the network; and the
 * memory that a walk takes over few and over many images.
 *
 * `CONVLENS_BENCH_SHARE=0.02 deno task bench scan` walks that share of the images. Run as a program, this file is a process
 * that walks so many images and prints the most memory that it had.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { cifar10 } from "../../lib/data/cifar10.ts";
import { type Dataset, dataset } from "../../lib/data/dataset.ts";
import { photo } from "../../lib/data/photo.ts";
import { InputReader } from "../../lib/model/inputs.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { forwardEach } from "../../lib/scan/forward_all.ts";
import { listsFor, scanTop, type TopQuestion } from "../../lib/scan/top_patches.ts";
import { type Benchmark, compare, type Line } from "./harness.ts";

const SHARE = Number(Deno.env.get("CONVLENS_BENCH_SHARE") ?? 1);
const share = (count: number) => Math.max(32, Math.round(SHARE * count));

/** All units of some layers. */
const question = (model: Model, layers: readonly string[]): TopQuestion => ({
  layers: layers.map((layer) => ({ layer, units: [...Array(model.layer(layer).outputShape.at(-1)!).keys()] })),
  top: 9,
  cells: "strongest",
});

const read = (model: Model, images: Dataset) => new InputReader("bench", model, images);

const walk = (model: Model, images: Dataset, layers: readonly string[]) => {
  const asked = question(model, layers);
  return scanTop(model, read(model, images), asked, listsFor(asked));
};

const every = ({ leaves }: Model) => leaves.filter(({ kind }) => kind !== "InputLayer").map(({ name }) => name);

/** @param goal the least share of the bare rate that is wanted */
async function against(name: string, images: Dataset, layersOf: (model: Model) => string[], goal: number) {
  const model = await loadModel(name);
  try {
    const layers = layersOf(model);
    const bare = () => forwardEach(model, read(model, images).inputs(), [model.output.index], () => {});
    const lines = await compare(
      [`${name}: bare, ${images.size} images`, bare],
      [`${name}: patches of ${layers.length} layers`, () => walk(model, images, layers)],
      { goal: Number((1 / goal).toFixed(2)), runs: 3, warmUp: 1 },
    );
    return lines.flatMap((line): Line[] => [
      line,
      { name: "  images", median: 1000 * images.size / line.median, unit: "per second" },
    ]);
  } finally {
    model.dispose();
  }
}

/** Crops of the photos that there are. */
async function photos(count: number): Promise<Dataset> {
  const all = await Promise.all(["dog", "tabby"].map((name) => photo(name)));
  const items = Array.from({ length: count }, (_, i) => {
    const image = all[i % all.length];
    const [height, width] = image.shape;
    const [y, x] = [(7 * i) % Math.floor(height / 4), (13 * i) % Math.floor(width / 4)];
    return { image: image.crop([y, x, y + Math.floor(height * 0.7), x + Math.floor(width * 0.7)]) };
  });
  return dataset(items, { name: "crops" });
}

/** The most memory that a process takes for so many images. */
async function peak(count: number): Promise<number> {
  const args = ["run", "-A", fileURLToPath(import.meta.url), String(count)];
  const { stdout, success } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
  if (!success) throw new Error(`The walk over ${count} images failed.`);
  return Number(new TextDecoder().decode(stdout).trim().split("\n").at(-1));
}

if (import.meta.main) {
  const model = await loadModel("cifar-convnet");
  await walk(model, await cifar10({ split: "train", limit: Number(Deno.args[0]) }), every(model));
  const status = Deno.readTextFileSync("/proc/self/status");
  console.log(1024 * Number(/VmHWM:\s+(\d+)/.exec(status)![1]));
  Deno.exit();
}

const benchmarks: Benchmark[] = [
  {
    name: "CIFAR-10 through cifar-convnet, all layers",
    run: async () =>
      await against("cifar-convnet", await cifar10({ split: "train", limit: share(50_000) }), every, 0.9),
  },
  {
    name: "photos through ResNet-50, 49 convolutions",
    run: async () => {
      const convolutions = ({ leaves }: Model) =>
        leaves.filter(({ kind, outputShape }) => kind === "Conv2D" && outputShape.length === 3).map(({ name }) => name)
          .slice(0, 49);
      return await against("resnet50", await photos(share(500)), convolutions, 0.8);
    },
  },
  {
    name: "memory of a walk",
    run: async () => {
      const [few, many] = [await peak(share(5_000)), await peak(share(50_000))];
      return [
        { name: `peak, ${share(5_000)} images`, median: few, unit: "bytes" },
        { name: `peak, ${share(50_000)} images`, median: many, unit: "bytes", ratio: many / few, goal: 1.05 },
      ];
    },
  },
];
export default benchmarks;
