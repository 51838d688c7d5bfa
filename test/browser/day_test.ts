/**
 * A day in the notebook, in a real JupyterLab: photos of one's own, a network trained, kept and loaded, what it does looked
 * at, results taken out. All that it shows must fit into a notebook that can be sent.
 */

import { expect, test } from "vitest";
import { loadImage } from "../../lib/data/image.ts";
import { type CodeCell, notebookText, parseNotebook } from "../../lib/tools/notebook.ts";
import { withPhotos } from "../bench/notebook_bench.ts";
import { longDescribe } from "../long.ts";
import { notebookOf } from "../notebook/samples.ts";
import {
  browserAndLab,
  browserIsReady,
  codeCells,
  openNotebook,
  out,
  runAll,
  screenshot,
  stayLocal,
} from "./browser.ts";

const ready = await browserIsReady();

/** What the photo, the maps, the attributions and the grid of all photos may take together: they were 17.5 MB once. */
const MOST_BYTES = 5e6;
const LARGE = [1, 2, 4, 11];

/** Each cell, and a word that its output must show. */
const cells = (photos: string): [source: string, shows: RegExp][] => [
  [
    `import * as lens from "../mod.ts";
const { activations, catsVsDogsConvnet, codes, compare, embeddingGrid, evaluate, filters, help, imageFolder } = lens;
const { gradCam, guidedBackprop, inputXGradient, loadModel, photo, predict, saliency, smoothGrad, train, tsne } = lens;
const resnet = await loadModel("resnet50");
resnet`,
    /resnet50 · 177 layers/,
  ],
  [`const dog = await photo("dog");\ndog`, /pixels/],
  [`await activations(resnet, dog, { layer: "activation" })`, /64/],
  [`await filters(resnet)`, /conv1/],
  [
    `await compare([await saliency(resnet, dog), await inputXGradient(resnet, dog), await gradCam(resnet, dog),
  await guidedBackprop(resnet, dog), await smoothGrad(resnet, dog, { samples: 2 })])`,
    /saliency/,
  ],
  [`const photos = await imageFolder(${JSON.stringify(photos)}, { seed: 1 });\nphotos`, /1,?399/],
  [
    `const [seen, unseen] = photos.shuffle(1).split(0.8);
const mine = await catsVsDogsConvnet({ size: 64, seed: 1 });
await train(mine, seen, { epochs: 1, seed: 1 })`,
    /epoch/,
  ],
  [
    `await mine.save("day-net");
const kept = await loadModel("day-net");
const answers = async (model) => (await predict(model, unseen.take(9))).flatMap(({ rows }) => rows.map((row) => row.probability));
"same bits: " + (String(await answers(mine)) === String(await answers(kept)))`,
    /same bits: true/,
  ],
  [`await evaluate(kept, unseen)`, /top-1/],
  [`await predict(kept, unseen.take(30))`, /predictions \(30\)/],
  [
    `const points = await codes(kept, photos);\nconst map = await tsne(points, { seed: 1, iterations: 250 });\nmap`,
    /t-SNE/,
  ],
  [`embeddingGrid(points, map)`, /1,?399/],
  [`await tsne(await codes(kept, unseen.take(200)), { seed: 1, iterations: 250 })`, /t-SNE/],
  [
    `const two = await codes(kept, unseen.take(20), { layers: [kept.layers[1].name, kept.layers[3].name], pool: "mean" });
Object.values(two).length + " layers"`,
    /layers/,
  ],
  [
    `const maps = await activations(resnet, dog, { layer: "conv1" });
const values = maps.layers[0].maps;
"shape " + values.shape + ", largest channel mean " + values.mean([0, 1]).argmax()`,
    /shape 112,112,64/,
  ],
  [`help(activations)`, /layer/],
  [`activations(resnet, dog, { layer: "conv1" })`, /await/],
  [`try { await saliency(resnet, dog, { targte: "dog" }); } catch (error) { console.log(error.message); }`, /target/],
  [
    `const figure = (await gradCam(resnet, dog)).figure();
await figure.save("day-column.png", { width: "85mm", dpi: 300 });
await figure.save("day-slide.png", { width: 1920, theme: "dark" });
await figure.save("day.pdf", { width: "85mm" });
"saved"`,
    /saved/,
  ],
];

longDescribe("a day in the notebook", () => {
  if (!ready) return;
  const running = browserAndLab();

  test(
    "each cell shows what it should, and the notebook stays small",
    { timeout: 900_000 },
    () =>
      withPhotos(async (_, path) => {
        const day = cells(path);
        await Deno.writeTextFile(`${out}/day.ipynb`, notebookText(notebookOf(day.map(([source]) => source))));
        const context = await running.browser.newContext({ viewport: { width: 1280, height: 900 } });
        try {
          await stayLocal(context);
          const page = await context.newPage();
          await openNotebook(page, running.lab.address("day.ipynb"));
          await runAll(page, 800_000);
          await screenshot(page, `${out}/day.png`);
          const shown = await codeCells(page).evaluateAll((cells) =>
            cells.map((cell) => cell.querySelector(".jp-OutputArea")?.textContent ?? "")
          );
          day.forEach(([source, shows], i) => expect.soft(shown[i], source).toMatch(shows));
          await page.keyboard.press("Control+s");
          const saved = async () => {
            const { cells } = parseNotebook(await Deno.readTextFile(`${out}/day.ipynb`), "day.ipynb");
            return (cells as CodeCell[]).map(({ outputs }) => JSON.stringify(outputs).length);
          };
          await expect.poll(async () => (await saved()).at(-1), { timeout: 60_000 }).toBeGreaterThan(2);
          const bytes = await saved();
          const sum = (sizes: number[]) => sizes.reduce((a, b) => a + b, 0);
          console.log(`The notebook of a day has ${(sum(bytes) / 1e6).toFixed(2)} MB of outputs.`);
          expect(sum(LARGE.map((cell) => bytes[cell]))).toBeLessThan(MOST_BYTES);
          const widths = await Promise.all(
            ["day-column.png", "day-slide.png"].map(async (name) => (await loadImage(`${out}/${name}`)).shape[1]),
          );
          expect(widths).toEqual([Math.round(85 / 25.4 * 300), 1920]);
        } finally {
          await context.close();
        }
      }),
  );
});
