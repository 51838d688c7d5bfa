/** Numbers that README and lectures tell in words are what a run gives. */

import { describe, expect, test } from "vitest";
import { cifar10, filters, loadModel, type Model, photo, predict, strideDiagnosis } from "../../mod.ts";
import { longTest } from "../long.ts";
import { root } from "./nbconvert.ts";

/** The text cells of a lecture. */
async function proseOf(lecture: string): Promise<string> {
  const { cells } = JSON.parse(await Deno.readTextFile(`${root}notebooks/${lecture}.ipynb`));
  return cells.filter((cell: { cell_type: string }) => cell.cell_type === "markdown")
    .map((cell: { source: string | string[] }) => [cell.source].flat().join("")).join("\n\n");
}

/** The numbers in a sentence, which must be there. */
function numbersOf(text: string, sentence: RegExp): number[] {
  const found = sentence.exec(text.replace(/\s+/g, " "));
  expect(found, `a sentence like ${sentence}`).not.toBeNull();
  return found!.slice(1).map(Number);
}

const rightOf = async (model: Model, split: "train" | "test", limit: number) => {
  const found = await Array.fromAsync(await cifar10({ split, limit }));
  const predictions = await predict(model, found.map(({ image }) => image), { top: 1 });
  return predictions.filter(({ rows }, i) => rows[0].label === found[i].label).length / limit;
};

describe("the lectures on ResNet-50", () => {
  test("tell how sure it is of the dog, and how its maps shrink", async () => {
    const model = await loadModel("resnet50");
    const [dog] = (await predict(model, await photo("dog"), { top: 1 })).rows;
    const gradients = await proseOf("03_gradients");
    expect(numbersOf(gradients, /French bulldog, (\d+) %/)).toEqual([Math.round(100 * dog.probability!)]);
    expect(dog.label).toBe("French bulldog");

    const maps = model.layers.filter(({ outputShape }) => outputShape.length === 3 && outputShape[2]! > 3);
    const [first, last] = [maps.find(({ kind }) => kind === "Conv2D")!, maps.at(-1)!];
    const tour = await proseOf("01_tour");
    expect(numbersOf(tour, /\((\d+) × (\d+) down to (\d+) × (\d+)\).*\((\d+) up to (\d+)\)/)).toEqual(
      [...first.outputShape.slice(0, 2), ...last.outputShape.slice(0, 2), first.outputShape[2], last.outputShape[2]],
    );
    expect(numbersOf(tour, /: (\d+) pixels at the start, more than the whole photo at the end/)).toEqual(
      [first.receptiveField!.size],
    );
    expect(last.receptiveField!.size).toBeGreaterThan(model.inputShape[0]!);
    expect(numbersOf(tour, /tell (\d+) kinds of things apart/)).toEqual([model.labels!.length]);
    expect(numbersOf(tour, /slides (\d+) small filters/)).toEqual([first.outputShape[2]]);
    expect(numbersOf(gradients, /are only (\d+) × (\d+) cells.*each of the (\d+) maps/)).toEqual([...last.outputShape]);
    expect(tour).toMatch(/outlines such filters, and here there are none/);
    expect((await filters(model, { layer: "conv1" })).rows.filter(({ noisy }) => noisy)).toEqual([]);
    model.dispose();
  });
});

describe("README and lectures on the networks trained here", () => {
  longTest("tell how often each is right", async () => {
    const readme = await Deno.readTextFile(`${root}README.md`);
    const training = await proseOf("02_training");
    const load = (name: string) => loadModel(`${root}data/small-zfnet/${name}`);
    const [byHeart, coarse, fine] = await Promise.all([load("unregularised"), load("coarse"), load("fine")]);
    const percent = async (model: Model, decimals = 0) =>
      Number((100 * await rightOf(model, "test", 2000)).toFixed(decimals));
    expect(numbersOf(training, /(\d+) % of those that it never saw, of which the third one gets (\d+) %/)).toEqual(
      [await percent(byHeart), await percent(coarse)],
    );
    expect(numbersOf(training, /Of 2000 test photos the coarse network got ([\d.]+) % right, the fine one ([\d.]+) %/))
      .toEqual([await percent(coarse, 1), await percent(fine, 1)]);

    const house = await loadModel("cifar-convnet");
    const [told] = numbersOf(readme, /([\d.]+) % of the 10,000 test images/);
    // Of 2000 of the 10,000: within three standard errors.
    expect(Math.abs(100 * await rightOf(house, "test", 2000) - told)).toBeLessThan(2.1);
    expect(numbersOf(await proseOf("05_codes"), /Now (\d+) images that the network \*was\* trained on/)).toEqual([300]);
    expect(await rightOf(house, "train", 300)).toBeGreaterThan(0.95);
  }, 180_000);

  longTest("tell what their filters let through", async () => {
    const load = (name: string) => loadModel(`${root}data/small-zfnet/${name}`);
    const networks = [await load("coarse"), await load("fine")];
    const { rows: [coarse, fine] } = await strideDiagnosis(networks, await cifar10({ split: "test", limit: 16 }));
    const shares = /rose from (\d+) % to (\d+) %, and what aliases in the second layer fell from (\d+) % to (\d+) %/;
    expect(numbersOf(await proseOf("02_training"), shares)).toEqual(
      [coarse.mid, fine.mid, coarse.aliasing2, fine.aliasing2].map((share) => Math.round(100 * share)),
    );
  }, 180_000);
});
