/// <reference lib="dom" />
/**
 * Maps of 60,000 images: how long they take to write, to draw, and until they stand in a browser; how smoothly points in
 * space turn; and images put on a grid.
 *
 * @module
 */

import { assignToGrid } from "../../lib/embed/assignment.ts";
import { randomStream } from "../../lib/random.ts";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { browserIsReady, openBrowser } from "../browser/browser.ts";
import { type Benchmark, type Line, measure, median, quantile } from "./harness.ts";

const COUNT = 60_000;
const SIDE = 28;

/** Ten heaps with pictures like digits: strokes on black. */
function data() {
  const random = randomStream(1);
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

/** From frame to frame of a map in space that spins, in milliseconds. */
async function frames(page: string): Promise<number[]> {
  const browser = await openBrowser();
  try {
    const tab = await browser.newPage();
    await tab.goto(page);
    await tab.locator(".convlens-map[data-live=drawn]").waitFor({ timeout: 60_000 });
    await tab.locator(".convlens-spin").click();
    return await tab.evaluate(async (count) => {
      const frame = () => new Promise<number>((done) => requestAnimationFrame(done));
      const times = [await frame()];
      while (times.length <= count) times.push(await frame());
      return times.slice(1).map((time, i) => time - times[i]);
    }, 120);
  } finally {
    await browser.close();
  }
}

async function space(): Promise<Line[]> {
  if (!await browserIsReady()) return [];
  const folder = await Deno.makeTempDir();
  const lines: Line[] = [];
  try {
    for (const [count, goal] of [[10_000, 34], [60_000, 100]]) {
      const random = randomStream(2);
      const heap = (i: number) => i % 10;
      const points = Float32Array.from({ length: 3 * count }, (_, e) => {
        const turn = heap(Math.floor(e / 3)) * Math.PI / 5;
        return 40 * Math.cos(turn * (e % 3 + 1)) + 15 * (random() + random() - 1);
      });
      const path = `${folder}/space-${count}.html`;
      await mapFigure({
        title: `${count} points`,
        points: { data: points, shape: [count, 3] },
        labels: Array.from({ length: count }, (_, i) => `class ${heap(i)}`),
      }).save(path);
      const times = await frames(`file://${path}`);
      const name = `a frame of ${count.toLocaleString("en")} points in space that spin, in Chromium`;
      lines.push({ name, median: median(times), p95: quantile(times, 0.95), runs: times.length, unit: "ms", goal });
    }
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
  { name: "maps in space", run: space },
  { name: "images on a grid", run: grid },
] satisfies Benchmark[];
