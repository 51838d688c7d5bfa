/**
 * Maps of 60,000 images: how long they take to write, to draw, and until they stand in a browser; and images put on a
 * grid.
 *
 * @module
 */

import { assignToGrid } from "../../lib/embed/assignment.ts";
import { uniforms } from "../../lib/embed/random.ts";
import { mapFigure } from "../../lib/figure/map.ts";
import { browserIsReady, openBrowser } from "../browser/browser.ts";
import { type Benchmark, type Line, measure } from "./harness.ts";

const COUNT = 60_000;
const SIDE = 28;

/** Ten heaps with pictures like digits: strokes on black. */
function data() {
  const random = uniforms(1);
  const points = new Float32Array(2 * COUNT);
  const pictures = new Uint8Array(COUNT * SIDE * SIDE * 3);
  for (let i = 0; i < COUNT; i++) {
    const turn = (i % 10) * Math.PI / 5;
    points[2 * i] = 40 * Math.cos(turn) + 15 * (random() + random() - 1);
    points[2 * i + 1] = 40 * Math.sin(turn) + 15 * (random() + random() - 1);
    const [x, y, slope] = [8 + 12 * random(), 8 + 12 * random(), Math.PI * random()];
    for (let at = 0; at < SIDE * SIDE; at++) {
      const [across, down] = [at % SIDE - x, Math.floor(at / SIDE) - y];
      const off = Math.abs(across * Math.cos(slope) - down * Math.sin(slope));
      const shade = Math.hypot(across, down) < 10 ? 255 * Math.max(0, 1 - off / 3) : 0;
      pictures.fill(shade, 3 * (i * SIDE * SIDE + at), 3 * (i * SIDE * SIDE + at) + 3);
    }
  }
  return {
    points: { data: points, shape: [COUNT, 2] },
    labels: Array.from({ length: COUNT }, (_, i) => `class ${i % 10}`),
    ids: Array.from({ length: COUNT }, (_, i) => `train-${i}`),
    neighbors: {
      k: 10,
      indices: new Int32Array(10 * COUNT).map((_, e) => (Math.floor(e / 10) + 10 * (e % 10 + 1)) % COUNT),
    },
    thumbnails: { side: SIDE, data: pictures },
  };
}

async function firstPaint(page: string): Promise<void> {
  const browser = await openBrowser();
  try {
    const tab = await browser.newPage();
    await tab.goto(page);
    await tab.locator(".convlens-map[data-live=drawn]").waitFor({ timeout: 60_000 });
  } finally {
    await browser.close();
  }
}

async function map(): Promise<Line[]> {
  const content = data();
  const make = () => mapFigure({ title: "60,000 points", ...content });
  const lines = [
    await measure("a map of 60,000 images as HTML, 28 px pictures", () => make().html(), { runs: 3, warmUp: 1 }),
    await measure("the same as PNG", () => make().png(), { runs: 3, warmUp: 1 }),
  ];
  if (!await browserIsReady()) return lines;
  const folder = await Deno.makeTempDir();
  try {
    await make().save(`${folder}/map.html`);
    const blank = `${folder}/blank.html`;
    await Deno.writeTextFile(blank, `<div class="convlens-map" data-live="drawn">.</div>`);
    lines.push(
      await measure("Chromium starts and shows an empty page", () => firstPaint(`file://${blank}`), {
        runs: 3,
        warmUp: 1,
      }),
      await measure("Chromium starts and has drawn the map", () => firstPaint(`file://${folder}/map.html`), {
        goal: 3000,
        runs: 3,
        warmUp: 1,
      }),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return lines;
}

async function grid(): Promise<Line[]> {
  const { points } = data();
  const some = (count: number) => ({ data: points.data.slice(0, 2 * count), shape: [count, 2] });
  const run = (count: number) => () => Promise.resolve(assignToGrid(some(count)));
  return [
    await measure("1,000 images on a grid, at best", run(1000), { runs: 3, warmUp: 1 }),
    await measure("2,500 images on a grid, at best", run(2500), { runs: 1, warmUp: 0 }),
    await measure("10,000 images on a grid, by windows", run(10_000), { runs: 1, warmUp: 0 }),
  ];
}

export default [
  { name: "a map of 60,000 images", run: map },
  { name: "images on a grid", run: grid },
] satisfies Benchmark[];
