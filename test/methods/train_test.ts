import { afterEach, describe, expect, test, vi } from "vitest";
import { train, type TrainOptions } from "../../lib/methods/train.ts";
import { History } from "../../lib/results/history.ts";
import { loadModel } from "../../lib/model/load.ts";
import { type Dataset, dataset } from "../../lib/data/dataset.ts";
import type { ImageLike } from "../../lib/data/image.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { datasetOf, stripes, stripesNet } from "../probe/training/toys.ts";

const tf = await ensureBackend();
const options = { optimizer: "adam", learningRate: 0.02, epochs: 3, batchSize: 8, validation: 0.25 } as const;

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** Standard output and error; what was written to them. */
function fakeOutput(): { out: string[]; error: string[] } {
  const written = { out: [] as string[], error: [] as string[] };
  vi.spyOn(console, "log").mockImplementation((line) => void written.out.push(String(line)));
  vi.spyOn(Deno.stderr, "isTerminal").mockReturnValue(false);
  vi.spyOn(Deno.stderr, "writeSync").mockImplementation((bytes) => {
    written.error.push(new TextDecoder().decode(bytes));
    return bytes.length;
  });
  return written;
}

interface Shown {
  bundle: Record<string, string>;
  id: string;
  update: boolean;
}

/** A cell that keeps what is displayed in it. */
function fakeCell(): Shown[] {
  const shown: Shown[] = [];
  const display = (bundle: Record<string, string>, options: { display_id: string; update: boolean }) => {
    shown.push({ bundle, id: options.display_id, update: options.update });
    return Promise.resolve();
  };
  vi.stubGlobal("Deno", Object.create(Deno, { jupyter: { value: { display, broadcast: () => Promise.resolve() } } }));
  return shown;
}

describe("images that cannot be read", () => {
  /** Stripes, of which some are a part of a picture's file only. */
  async function damaged(count: number, bad: readonly number[]) {
    const png = await Deno.readFile(new URL("../snapshots/figures/activationsOfVector.png", import.meta.url));
    const items: { id: string; label: string; image: ImageLike }[] = [];
    for await (const { id, image, label } of stripes(count)) {
      const at = items.length;
      items.push({ id, label: label!, image: bad.includes(at) ? png.slice(0, 40 + at) : image });
    }
    return dataset(items, { name: "stripes" });
  }
  const losses = ({ rows }: History) => rows.map(({ loss, validationLoss }) => [loss, validationLoss]);
  const run = async (set: Dataset, more: Partial<TrainOptions> = {}) =>
    await train(await loadModel(stripesNet(tf), { name: "net" }), set, { ...options, ...more });

  test("are left out, counted and named; the run is that of the others, and is taken up again", async () => {
    const { error } = fakeOutput();
    const folder = await Deno.makeTempDir();
    const bad = [3, 17, 30];
    const data = await damaged(48, bad);
    const validation = await damaged(8, [2]);
    const checkpoint = `${folder}/run`;
    await run(data, { validation, checkpoint, epochs: 1 });
    const history = await run(data, { validation, checkpoint });
    expect(history.skipped.map(({ id }) => id)).toEqual([...bad, 2].map((i) => `stripes-${i}`));
    expect(history.skipped.every(({ reason }) => reason.length > 10)).toBe(true);
    const note = '4 images could not be read and were left out: "stripes-3", "stripes-17", "stripes-30", "stripes-2"';
    expect((await history.figure().html()).replaceAll("&quot;", '"')).toContain(note);
    expect(error.join("")).toContain(note);
    const others = data.filter(({ id }) => !bad.some((i) => id === `stripes-${i}`));
    expect(losses(history)).toEqual(losses(await run(others, { validation })));
    await Deno.remove(folder, { recursive: true });
  });

  test("are named once where the validation is a share of the same data set", async () => {
    fakeOutput();
    const { skipped, rows } = await run(await damaged(24, [5]), { epochs: 1 });
    expect(skipped.map(({ id }) => id)).toEqual(["stripes-5"]);
    expect(Object.values(rows[0]).every(Number.isFinite)).toBe(true);
  });

  test("stop the run where that is asked for, and where there are no others", async () => {
    fakeOutput();
    await expect(run(await damaged(8, [5]), { onBadImage: "stop" })).rejects.toThrow(
      /"stripes-5" of "stripes" cannot be/,
    );
    await expect(run(await damaged(2, [0, 1]))).rejects.toThrow(/None of the 2 images of "stripes"/);
    await expect(run(await damaged(8, []), { onBadImage: "pass" as never })).rejects.toThrow(
      /onBadImage must be "skip" or "stop"/,
    );
  });
});

describe("in a terminal", () => {
  test("one line an epoch, with the time left; the history holds what was seen", async () => {
    const { out, error } = fakeOutput();
    const model = await loadModel(stripesNet(tf), { name: "net" });
    const before = tf.memory().numTensors;
    const history = await train(model, stripes(48), options);
    expect(tf.memory().numTensors).toBe(before);
    expect(error.join("")).toMatch(/^Reading stripes · done in /);
    expect(out).toHaveLength(3);
    out.forEach((line, i) => {
      expect(line).toMatch(
        new RegExp(
          `^epoch ${i + 1} of 3 · loss [\\d.]+, accuracy [\\d.]+ % · validation loss [\\d.]+, accuracy [\\d.]+ % · ` +
            `rate 0.02 · [\\d.]+ s${i < 2 ? " · [\\d.]+ s left" : ""}$`,
        ),
      );
    });
    expect(history).toBeInstanceOf(History);
    expect([history.model, history.dataset, history.ending]).toEqual(["net", "stripes", "done"]);
    expect(history.labels).toEqual(["across", "down"]);
    expect(history.snapshots.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3]);
    expect(history.snapshots[0].weights["conv/kernel"].shape).toEqual([3, 3, 3, 4]);
    expect(history.snapshots[0].activations["relu"].shape).toEqual([8, 8, 4]);
    expect(history.probe!.shape).toEqual([8, 8, 3]);
    expect((await history.table()).height).toBe(3);
    for (const view of ["curves", "filters", "activations", "sparsity"] as const) {
      expect(history.figure({ view }).title).toMatch(/^net · /);
    }
    model.dispose();
  });

  test("a validation set of its own is read and told of, too", async () => {
    const { error } = fakeOutput();
    vi.spyOn(Deno.stderr, "isTerminal").mockReturnValue(true);
    const model = await loadModel(stripesNet(tf));
    const history = await train(model, stripes(16), { ...options, epochs: 1, validation: stripes(8, 8, 9) });
    expect(error.join("")).toMatch(/Reading stripes · 0 of 24 /);
    expect(history.rows[0].validationAccuracy).toBeGreaterThanOrEqual(0);
    model.dispose();
  });

  test("says nothing where that is not wanted", async () => {
    const { out, error } = fakeOutput();
    const model = await loadModel(stripesNet(tf));
    await train(model, stripes(16), { ...options, epochs: 1, live: false });
    expect([out, error]).toEqual([[], []]);
    model.dispose();
  });

  test("the model's own labels order the classes", async () => {
    const model = await loadModel(stripesNet(tf), { labels: ["down", "across"] });
    const history = await train(model, stripes(16), { ...options, epochs: 1, live: false });
    expect(history.labels).toEqual(["down", "across"]);
    const other = datasetOf([{ pixels: new Float32Array(192), shape: [8, 8, 3], label: "dwon" }], ["dwon"]);
    await expect(train(model, other, { ...options, live: false })).rejects.toThrow(/no class "dwon".*nearest: "down"/);
    model.dispose();
  });
});

describe("in a cell", () => {
  test("one output that is repainted, and ends as a picture that stays", async () => {
    const shown = fakeCell();
    const model = await loadModel(stripesNet(tf), { name: "net" });
    await train(model, stripes(48), options);
    const reading = shown[0].id;
    const view = shown.filter(({ id }) => id !== reading);
    expect(new Set(view.map(({ id }) => id)).size).toBe(1);
    expect(view.map(({ update }) => update)).toEqual([false, ...new Array(view.length - 1).fill(true)]);
    expect(view[0].bundle["text/html"]).toContain("Stop training");
    expect(view[0].bundle["text/html"]).toContain("Filters of conv");
    const { bundle } = view.at(-1)!;
    expect(bundle["text/plain"]).toMatch(/^Training net on stripes · 3 of 3 epochs · /);
    expect(bundle["text/html"]).not.toContain("Stop training");
    for (const heading of ["Loss", "Accuracy", "Filters of conv", "Maps of relu", "Sparsity", "Dead maps"]) {
      expect(bundle["text/html"]).toContain(heading);
    }
    expect(bundle["image/png"]).toMatch(/^iVBOR/);
    model.dispose();
  });

  test("a run that goes on from trained weights says so, in its title and below", async () => {
    const shown = fakeCell();
    const model = await loadModel(stripesNet(tf), { name: "net" });
    const short = { ...options, epochs: 1 };
    await train(model, stripes(16), short);
    expect(shown.at(-1)!.bundle["text/html"]).not.toContain("trained weights");
    await train(model, stripes(16), short);
    const { bundle } = shown.at(-1)!;
    expect(bundle["text/plain"]).toMatch(/^Training net on stripes · goes on from trained weights · 1 of 1 epochs/);
    expect(bundle["text/html"]).toContain("Went on from trained weights: 1 epoch on stripes (12 images)");
    await train(model, stripes(16), { ...short, from: "scratch" });
    expect(shown.at(-1)!.bundle["text/html"]).toContain("Began anew, from fresh weights.");
    model.dispose();
  });

  test("a run that fails leaves what was seen, and no button", async () => {
    const shown = fakeCell();
    const model = await loadModel(stripesNet(tf), { name: "net" });
    const hot = { ...options, optimizer: "sgd", learningRate: 1e38 } as const;
    await expect(train(model, stripes(48), hot)).rejects.toThrow("The loss became");
    const { bundle } = shown.at(-1)!;
    expect(bundle["text/plain"]).toMatch(/^Training net on stripes · failed after 0 of 3 epochs/);
    expect(bundle["text/html"]).toContain("Filters of conv");
    expect(bundle["text/html"]).not.toContain("Stop training");
    model.dispose();
  });

  test("its button ends the run; no other address does", async () => {
    const shown = fakeCell();
    const model = await loadModel(stripesNet(tf), { name: "net" });
    const running = train(model, stripes(48), { ...options, epochs: 100_000 });
    const html = () => shown.map(({ bundle }) => bundle["text/html"]).find((text) => text.includes("Stop training"));
    await vi.waitFor(() => expect(html()).toBeDefined(), { timeout: 60_000 });
    const url = html()!.match(/(http:\/\/127\.0\.0\.1:\d+\/[0-9a-f-]{36})/)![1];
    for (const [address, method] of [[`${url}0`, "POST"], [url, "GET"]]) {
      const answer = await fetch(address, { method });
      expect(answer.status).toBe(404);
    }
    expect((await fetch(url, { method: "POST" })).status).toBe(204);
    const history = await running;
    expect(history.ending).toBe("aborted");
    expect(history.rows.length).toBeLessThan(100_000);
    // The server is gone.
    await expect(fetch(url, { method: "POST" })).rejects.toThrow();
    expect(shown.at(-1)!.bundle["text/html"]).not.toContain("Stop training");
    model.dispose();
  });
});
