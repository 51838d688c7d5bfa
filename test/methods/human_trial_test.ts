import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { dataset } from "../../lib/data/dataset.ts";
import type { HumanAnswer } from "../../lib/data/answers.ts";
import { Image } from "../../lib/data/image.ts";
import { evaluate } from "../../lib/methods/evaluate.ts";
import { humanTrial, type HumanTrialOptions } from "../../lib/methods/human_trial.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { HumanTrial } from "../../lib/results/human_trial.ts";
import { sigmoidNet } from "../nets.ts";
import { petModel, PETS, pets } from "../trials.ts";

const COUNT = 24;
let folder: string;
let model: Model;

beforeAll(async () => {
  folder = await Deno.makeTempDir();
  model = await petModel();
});
afterAll(() => Deno.remove(folder, { recursive: true }));

let opened: HumanTrial<Model>[] = [];
let count = 0;
afterEach(async () => {
  await Promise.all(opened.map((trial) => trial.close()));
  opened = [];
});

async function make(options: Partial<HumanTrialOptions> = {}, data = pets()): Promise<HumanTrial<Model>> {
  const trial = await humanTrial(model, data, {
    training: 2,
    limit: 6,
    path: `${folder}/${count++}.jsonl`,
    ...options,
  });
  opened.push(trial);
  return trial;
}

/** What a page of JupyterLab does. */
async function asker(trial: HumanTrial<Model>, person = "Ada") {
  const url = await trial.serve();
  const ask = async (what: string, question: object) => {
    const response = await fetch(`${url}/${what}`, {
      method: "POST",
      headers: { origin: "http://localhost:8888" },
      body: JSON.stringify(question),
    });
    return { status: response.status, body: await response.json() };
  };
  const answer = (image: string, more: object = {}) =>
    ask("answer", {
      trial: trial.id,
      person,
      image,
      shown: "2026-11-30T12:00:00.000Z",
      seconds: 2,
      labels: [PETS[0]],
      ...more,
    });
  return { url, ask, answer, state: async () => (await ask("state", { person })).body };
}

describe("a trial", () => {
  test("chooses by its seed, trains on other images than it tests, and knows the truth of all", async () => {
    const trial = await make();
    const again = await make();
    const other = await make({ seed: 1 });
    const ids = (of: HumanTrial<Model>) => of.images.known!.map(({ id }) => id);
    expect(trial.images.size).toBe(6);
    expect(trial.trainingIds).toHaveLength(2);
    expect(ids(trial).filter((id) => trial.trainingIds.includes(id))).toEqual([]);
    expect([ids(again), again.id, again.trainingIds]).toEqual([ids(trial), trial.id, trial.trainingIds]);
    expect(other.id).not.toBe(trial.id);
    expect(ids(other)).not.toEqual(ids(trial));
    for (const [id, truth] of trial.truth) expect(id).toContain(truth);
    expect(trial.truth.size).toBe(8);
    // The test's images can be given to the model as they are.
    expect((await evaluate(model, trial.images)).rows.map(({ id }) => id)).toEqual(ids(trial));
    // More images are added behind: what was answered stays.
    const longer = await make({ limit: 8 });
    expect(longer.id).toBe(trial.id);
    expect(ids(longer)).toEqual(expect.arrayContaining(ids(trial)));
  });

  test("tells the page nothing of what the test's images show", async () => {
    const trial = await make();
    const data = trial.pageData();
    expect(data.images.map(({ truth }) => truth !== undefined)).toEqual([true, true, ...Array(6).fill(false)]);
    const { classes: _, tree: __, examples: ___, ...rest } = data;
    const test = { ...rest, images: data.images.slice(2) };
    expect(JSON.stringify(test)).not.toMatch(/secret/);
    const whole = JSON.stringify(data);
    for (const id of trial.truth.keys()) expect(whole).not.toContain(id);
    expect(whole).not.toContain("/no-1-");
    // Each by a code of its own.
    const codes = data.images.map(({ code }) => code);
    expect(new Set(codes).size).toBe(8);
  });

  test("shows examples that are none of its images, also under another name", async () => {
    const data = pets();
    const trial = await make({ examples: 3 }, data);
    const pictures = new Set(trial.pageData().images.map(({ picture }) => picture));
    const shown = trial.pageData().examples;
    expect(Object.keys(shown).sort()).toEqual(PETS);
    expect(Object.values(shown).map(({ length }) => length)).toEqual([3, 3]);
    for (const picture of Object.values(shown).flat()) expect(pictures).not.toContain(picture);
    // A data set of the trial's own images, renamed, and one other image.
    const copies = [];
    for await (const { id, image, label } of data) {
      if (trial.truth.has(id)) copies.push({ id: `copy of ${id}`, image, label });
    }
    const [fresh] = [pets(1, 9)];
    for await (const { id, image, label } of fresh) copies.push({ id, image, label });
    copies.push({ id: "of no class", image: copies[0].image, label: "horse" });
    const { examples } = (await make({ examples: dataset(copies) }, data)).pageData();
    expect(Object.values(examples).flat()).toHaveLength(1);
    expect((await make({ examples: 0 }, data)).pageData().examples).toEqual({});
  });

  test("holds so many pictures as the page is to have, and the server has the others", async () => {
    const trial = await make({ inside: 3 });
    expect(trial.pageData().images.map(({ picture }) => picture !== undefined)).toEqual(
      [true, true, true, ...Array(5).fill(false)],
    );
    expect(trial.figure().caption).toContain("The last 5 of the images are not inside the page");
    const url = await trial.serve();
    const { code } = trial.pageData().images[7];
    const ask = (image: string) =>
      fetch(`${url}/image`, {
        method: "POST",
        headers: { origin: "http://localhost:1" },
        body: JSON.stringify({ image }),
      });
    const bytes = await (await ask(code)).bytes();
    expect([...bytes.slice(1, 4)]).toEqual([..."PNG"].map((letter) => letter.charCodeAt(0)));
    const none = await ask("none");
    expect(none.status).toBe(404);
    await none.body!.cancel();
  });

  test("is the same of images that come one after the other", async () => {
    const items = await Array.fromAsync(pets());
    const given = {
      size: COUNT,
      async *[Symbol.asyncIterator]() {
        yield* items;
      },
    };
    const stream = dataset(given, { name: "pets", labels: PETS });
    const [listed, streamed] = [await make({ examples: 1 }), await make({ examples: 1 }, stream)];
    expect(streamed.pageData()).toEqual(listed.pageData());
    expect(streamed.images.known).toEqual(listed.images.known);
    const numbers = items.map(({ id, label }) => ({ id, label, image: Float32Array.of(1, 2, 3) }));
    await expect(make({}, dataset(numbers))).rejects.toThrow(/An image has the shape \[height, width, 3\]/);
  });

  test("leaves out what cannot be read, and says so", async () => {
    const items = [];
    for await (const item of pets(10)) items.push(item as { id: string; label: string; image: unknown });
    const bad = await make({ training: 0, limit: 10 }, dataset(items as never));
    const victim = bad.images.known![3].id;
    items.find(({ id }) => id === victim)!.image = `${folder}/gone.png`;
    const trial = await make({ training: 0, limit: 10 }, dataset(items as never));
    expect(trial.images.size).toBe(9);
    expect(trial.skipped.map(({ id }) => id)).toEqual([victim]);
    expect(trial.figure().caption).toContain("1 image");
    await expect(make({ training: 0, limit: 10, onBadImage: "stop" }, dataset(items as never))).rejects.toThrow(victim);
  });
});

describe("its answers", () => {
  test("are on disk before the next image is told; a new trial goes on, each person by itself", async () => {
    const trial = await make();
    const { answer, state } = await asker(trial);
    const order = trial.pageData().images.map(({ code }) => code);
    for (const [i, code] of order.slice(0, 5).entries()) {
      expect(await state()).toEqual({ answered: order.slice(0, i), next: code });
      expect(await answer(code)).toEqual({
        status: 200,
        body: { answered: order.slice(0, i + 1), next: order[i + 1] },
      });
      const written = (await Deno.readTextFile(trial.path)).trim().split("\n").map((line) => JSON.parse(line));
      expect(written).toHaveLength(i + 1);
    }
    const rows: readonly HumanAnswer[] = trial.rows;
    expect(rows.map(({ phase }) => phase)).toEqual(["training", "training", "test", "test", "test"]);
    expect(rows.map(({ truth }) => truth !== undefined)).toEqual([true, true, false, false, false]);
    expect(rows.map(({ image }) => image).every((id) => trial.truth.has(id))).toBe(true);
    expect(rows.slice(0, 2).map(({ image }) => image)).toEqual(trial.trainingIds);
    // As after the kernel has died in the middle of a line.
    await Deno.writeTextFile(trial.path, '{"trial":"', { append: true });
    const again = await make({ path: trial.path });
    const next = await asker(again);
    expect(await next.state()).toEqual({ answered: order.slice(0, 5), next: order[5] });
    for (const code of order.slice(5)) expect((await next.answer(code)).status).toBe(200);
    expect((await next.state()).next).toBeNull();
    expect(again.rows).toHaveLength(8);
    expect(await (await asker(again, "Bo")).state()).toEqual({ answered: [], next: order[0] });
    expect(again.figure().text).toMatch(/Ada\s+2 of 2\s+6 of 6\s+2\.0/);
    const table = await again.table();
    expect([table.height, table.columns]).toEqual([
      8,
      ["trial", "person", "image", "phase", "shown", "seconds", "truth", "label 1", "label 2"],
    ]);
  });

  test("are taken once: a second tab, another process or an image that is not next is refused and told what is next", async () => {
    const trial = await make();
    const [a, b, c] = trial.pageData().images.map(({ code }) => code);
    const tab = await asker(trial);
    await tab.answer(a);
    const refused = await tab.answer(a, { labels: [PETS[1]] });
    expect(refused).toMatchObject({ status: 409, body: { state: { answered: [a], next: b } } });
    expect((await tab.answer(c)).status).toBe(409);
    // Both at once: one wins.
    const both = await Promise.all([tab.answer(b), tab.answer(b, { labels: [PETS[1]] })]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(trial.rows.map(({ labels }) => labels[0])).toHaveLength(2);
    // A process that opened the same file before the answers came knows them, too.
    const other = await make({ path: trial.path });
    await (await asker(trial)).answer(c);
    expect((await (await asker(other)).answer(c)).status).toBe(409);
    expect(other.rows).toHaveLength(3);
  });

  test("that are none are refused with the reason, and nothing is written", async () => {
    const trial = await make();
    const { answer, ask } = await asker(trial);
    const { code } = trial.pageData().images[0];
    const bad: [object, RegExp][] = [
      [{ labels: [] }, /1 to 2 different labels/],
      [{ labels: [PETS[0], PETS[0]] }, /different labels/],
      [{ labels: ["horse"] }, /"horse" is none of the classes/],
      [{ labels: "cat" }, /different labels/],
      [{ seconds: -1 }, /seconds/],
      [{ seconds: "1" }, /seconds/],
      [{ shown: "noon" }, /a time: received "noon"/],
      [{ person: "" }, /name/],
      [{ person: "x".repeat(61) }, /name/],
      [{ image: "none" }, /no image "none"/],
      [{ trial: "other" }, /another trial: run the cell again/],
    ];
    for (const [more, message] of bad) {
      const { status, body } = await answer(code, more);
      expect(status, JSON.stringify(more)).toBe(400);
      expect(body.message).toMatch(message);
    }
    expect((await ask("state", { person: 3 })).status).toBe(500);
    expect(await Deno.readTextFile(trial.path)).toBe("");
  });

  test("are not lost on a full disk: it is said, the file stays whole, and the same answer is taken later", async () => {
    const trial = await make();
    const { answer } = await asker(trial);
    const [a, b] = trial.pageData().images.map(({ code }) => code);
    await answer(a);
    const before = await Deno.readTextFile(trial.path);
    const { writeSync } = Deno.FsFile.prototype;
    const full = vi.spyOn(Deno.FsFile.prototype, "writeSync").mockImplementation(() => {
      throw new Error("No space left on device (os error 28)");
    });
    // A part of it still fits.
    full.mockImplementationOnce(function (this: Deno.FsFile, bytes) {
      return writeSync.call(this, bytes.subarray(0, 20));
    });
    onTestFinished(() => full.mockRestore());
    const { status, body } = await answer(b);
    expect(status).toBe(507);
    expect(body.message).toMatch(/could not be written to .*No space left on device.*Nothing was lost: make room/);
    expect(await Deno.readTextFile(trial.path)).toBe(before);
    full.mockRestore();
    expect((await answer(b)).status).toBe(200);
    expect(trial.rows).toHaveLength(2);
  });

  test("of a page without a kernel are added, each once", async () => {
    const trial = await make();
    const { answer } = await asker(trial);
    const { images } = trial.pageData();
    await answer(images[0].code);
    const line = (code: string, more: object = {}) =>
      `${
        JSON.stringify({
          trial: trial.id,
          person: "Bo",
          image: code,
          phase: "test",
          shown: "2026-11-30T12:00:00.000Z",
          seconds: 1.5,
          labels: [PETS[1], PETS[0]],
          ...more,
        })
      }\n`;
    const path = `${folder}/downloaded.jsonl`;
    await Deno.writeTextFile(
      path,
      line(images[0].code, { truth: "a lie" }) + line(images[2].code) + line(images[0].code, { person: "Ada" }),
    );
    expect(await trial.add(path)).toBe(2);
    expect(await trial.add(path)).toBe(0);
    expect(trial.persons).toEqual(["Ada", "Bo"]);
    const own = trial.rows.filter(({ person }) => person === "Bo");
    expect(own.map(({ image }) => trial.truth.has(image))).toEqual([true, true]);
    // What is true and what is for training the trial knows itself.
    expect(own.map(({ phase, truth }) => [phase, truth])).toEqual([
      ["training", trial.truth.get(trial.trainingIds[0])],
      ["test", undefined],
    ]);
    await Deno.writeTextFile(path, line(images[0].code, { trial: "another" }));
    await expect(trial.add(path)).rejects.toThrow(/None of the 1 answers .* is of this trial.*another/);
    await expect(trial.add(`${folder}/none.jsonl`)).rejects.toThrow(/There are no answers in/);
    await Deno.writeTextFile(path, line(images[3].code, { labels: ["horse"] }));
    await expect(trial.add(path)).rejects.toThrow(/"horse" is none of the classes/);
  });

  test("are taken from a person of any name", async () => {
    const trial = await make();
    const { code } = trial.pageData().images[0];
    for (const person of ["constructor", "__proto__", "</script><b>"]) {
      const { answer, state } = await asker(trial, person);
      expect((await answer(code)).status).toBe(200);
      expect((await state()).answered).toEqual([code]);
    }
    expect(trial.persons).toEqual(["constructor", "__proto__", "</script><b>"]);
    const html = await (await trial.connected()).html();
    expect(html.replace(/<script[^>]*>[\s\S]*?<\/script>/g, "")).not.toContain("<b>");
    expect(html).not.toContain("</script><b>");
  });

  test("of other trials stay in the file, and are told of", async () => {
    const trial = await make();
    await (await asker(trial)).answer(trial.pageData().images[0].code);
    const other = await make({ path: trial.path, seed: 5 });
    expect(other.rows).toEqual([]);
    expect(other.figure().text).toContain("also holds answers of other images, seeds or classes (1)");
  });
});

describe("what cannot be asked", () => {
  const path = () => `${folder}/${count++}.jsonl`;

  test.each<[string, Partial<HumanTrialOptions>, RegExp]>([
    ["no person", { person: "" }, /person must be a name/],
    ["spaces", { person: " Ada" }, /person must be a name/],
    ["no path", { path: "" }, /path must be a file's path/],
    ["an address", { path: new URL("https://example.org/a") }, /path must be a file's path/],
    ["an origin with a path", { origin: "https://hub.example.org/user/ada" }, /where the notebook's page is/],
    ["every origin", { origin: "*" }, /received "\*"/],
    ["a page without an origin", { origin: ["http://localhost", "null"] }, /received "null"/],
    ["no tree", { tree: {} }, /tree must be groups/],
    ["a tree of other classes", { tree: { pets: ["secret-cow"] } }, /no class "secret-cow".*"secret-dog"/],
    ["a class twice", { tree: { pets: PETS, dogs: [PETS[1]] } }, /"secret-dog" twice/],
    ["a class as a group", { tree: { pets: "cat" as never } }, /The group "pets" of the tree must hold/],
    ["examples that are none", { examples: "many" as never }, /examples/],
    ["negative examples", { examples: -1 }, /examples.*whole number ≥ 0/],
    ["more training than images", { training: COUNT }, /at least one image more than the 24 for training/],
    ["labels that fit nothing", { labels: 0 }, /labels must be a whole number ≥ 1/],
  ])("%s", async (_, options, message) => {
    await expect(make({ path: path(), ...options })).rejects.toThrow(message);
  });

  test("numbers, classes that the model has not, images without a label", async () => {
    const numbers = await loadModel(await sigmoidNet(), { output: { kind: "numbers" } });
    await expect(humanTrial(numbers, pets(), { path: path() })).rejects.toThrow(/tells classes apart.*numbers/);
    const strange = dataset([{
      image: new Image({ data: new Float32Array(48), shape: [4, 4, 3] }, { name: "a", source: "a" }),
      label: "cow",
    }]);
    await expect(humanTrial(model, strange, { path: path(), training: 0 })).rejects.toThrow(/"cow"/);
    const unlabelled = dataset([{ image: { data: new Float32Array(48), shape: [4, 4, 3] } }, {
      image: { data: new Float32Array(48), shape: [4, 4, 3] },
    }]);
    await expect(humanTrial(model, unlabelled, { path: path(), training: 0 })).rejects.toThrow(/has no label/);
  });

  test("a damaged file, or one that cannot be written, is told at once", async () => {
    const damaged = path();
    await Deno.writeTextFile(damaged, "not an answer\n\n");
    await expect(make({ path: damaged })).rejects.toThrow(/Line 1 of .* is no answer of a trial/);
    await expect(make({ path: `${folder}/none/a.jsonl` })).rejects.toThrow();
  });

  test("truth from another column", async () => {
    const items = [];
    for await (const { id, image, label } of pets()) items.push({ id, image, label: label!.slice(-3) });
    const trial = await make({ truth: ({ label }) => `secret-${label}` }, dataset(items));
    for (const [id, truth] of trial.truth) expect(id).toContain(truth);
    expect(trial.images.known![0].label).toMatch(/^secret-/);
  });
});
