import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TrialAnswer, TrialData } from "../../lib/page/data.ts";
import { KernelAnswers, PageAnswers, Refused } from "../../lib/page/trial_answers.ts";
import { matchesOf, treeRows, wayTo } from "../../lib/page/trial_classes.ts";

describe("the search of a class", () => {
  const classes = [
    "wildcat",
    "bearcat",
    "tabby, tabby cat",
    "Cat",
    "catamaran",
    "tiger cat",
    "Égyptian mau",
    "T-shirt",
  ];

  test("finds what begins with it first, then words that do, then all that hold it", () => {
    expect(matchesOf(classes, "cat")).toEqual([
      "Cat",
      "catamaran",
      "tabby, tabby cat",
      "tiger cat",
      "wildcat",
      "bearcat",
    ]);
    expect(matchesOf(classes, "CAT TI")).toEqual(["tiger cat"]);
    expect(matchesOf(classes, "egyp")).toEqual(["Égyptian mau"]);
    expect(matchesOf(classes, "t shirt")).toEqual(["T-shirt"]);
    expect(matchesOf(classes, "t-shirt")).toEqual(["T-shirt"]);
    expect(matchesOf(classes, "(")).toEqual([]);
    expect(matchesOf(classes, "")).toEqual(classes);
  });
});

describe("the tree of classes", () => {
  const leaf = (name: string, ...classes: string[]) => ({ name, branches: [], classes });
  const tree = {
    name: "",
    branches: [{ ...leaf("animals", "fish"), branches: [leaf("pets", "cat", "dog")] }, leaf("cars", "truck")],
    classes: ["thing"],
  };

  test("shows what is open, and how many classes hang on a branch", () => {
    expect(treeRows(tree, new Set())).toEqual([
      { name: "animals", depth: 0, path: "/animals", classes: 3, open: false },
      { name: "cars", depth: 0, path: "/cars", classes: 1, open: false },
      { name: "thing", depth: 0 },
    ]);
    expect(treeRows(tree, new Set(["/animals", "/animals/pets"])).map(({ name, depth }) => [name, depth])).toEqual([
      ["animals", 0],
      ["pets", 1],
      ["cat", 2],
      ["dog", 2],
      ["fish", 1],
      ["cars", 0],
      ["thing", 0],
    ]);
    expect(wayTo(tree, "dog")).toEqual(["animals", "pets"]);
    expect(wayTo(tree, "thing")).toEqual([]);
    expect(wayTo(tree, "none")).toBeNull();
  });
});

/** What a browser keeps. */
class Kept {
  readonly texts = new Map<string, string>();
  isFull = false;
  getItem = (key: string) => this.texts.get(key) ?? null;
  removeItem = (key: string) => void this.texts.delete(key);
  setItem = (key: string, text: string) => {
    if (this.isFull) throw new DOMException("full", "QuotaExceededError");
    this.texts.set(key, text);
  };
}

describe("answers without a kernel", () => {
  const image = (code: string, picture?: string) => ({ code, width: 1, height: 1, ...picture && { picture } });
  const data = {
    id: "t",
    images: [image("a", "data:,"), image("b", "data:,"), image("c", "data:,"), image("d")],
    answered: { Ada: ["a"] },
    file: "answers.jsonl",
    url: "http://127.0.0.1:1/token",
  } as unknown as TrialData;
  const answer = (code: string): TrialAnswer => ({
    trial: "t",
    person: "Ada",
    image: code,
    phase: "test",
    shown: "2026-11-30T12:00:00.000Z",
    seconds: 1,
    labels: ["cat"],
  });
  let browser: Kept;
  const real = Object.getOwnPropertyDescriptor(globalThis, "localStorage")!;
  const { fetch } = globalThis;
  beforeEach(() => {
    browser = new Kept();
    Object.defineProperty(globalThis, "localStorage", { value: browser, configurable: true });
  });
  afterEach(() => {
    Object.defineProperty(globalThis, "localStorage", real);
    globalThis.fetch = fetch;
  });

  test("go on where the disk and the browser have come to, for each person by itself", async () => {
    const own = new PageAnswers(data, "Ada");
    expect(await own.state()).toEqual({ answered: ["a"], next: "b" });
    expect(await own.add(answer("b"))).toEqual({ answered: ["a", "b"], next: "c" });
    // The page closes; the last image is only at the kernel.
    const again = new PageAnswers(data, "Ada");
    expect(await again.state()).toEqual({ answered: ["a", "b"], next: "c" });
    expect(await again.add(answer("c"))).toEqual({ answered: ["a", "b", "c"], next: null });
    expect(again.lines.split("\n").slice(0, -1).map((line) => JSON.parse(line))).toEqual([answer("b"), answer("c")]);
    expect((await new PageAnswers(data, "Bo").state()).next).toBe("a");
  });

  test("know what the kernel had before it went, also where the browser keeps nothing", async () => {
    globalThis.fetch = () => Promise.resolve(Response.json({ answered: ["a", "b"], next: "c" }));
    await new KernelAnswers(data, "Bo").state();
    expect((await new PageAnswers(data, "Bo").state()).next).toBe("c");
    browser.texts.clear();
    expect((await new PageAnswers(data, "Bo").state()).next).toBe("a");
    expect((await new PageAnswers(data, "Bo", ["a", "b"]).state()).next).toBe("c");
    browser.texts.set("convlens-trial-known/t/Bo", "nonsense");
    browser.texts.set("convlens-trial/t/Bo", "{}");
    expect((await new PageAnswers(data, "Bo").state()).next).toBe("a");
  });

  test("of two tabs the second is refused, and hears what is next", async () => {
    const [one, other] = [new PageAnswers(data, "Ada"), new PageAnswers(data, "Ada")];
    await one.add(answer("b"));
    await expect(other.add({ ...answer("b"), labels: ["dog"] })).rejects.toMatchObject({ state: { next: "c" } });
    await other.add(answer("c"));
    expect((await one.state()).next).toBeNull();
    expect(one.lines).toBe(other.lines);
  });

  test("are kept in the page where the browser keeps nothing, and it says so", async () => {
    browser.isFull = true;
    const own = new PageAnswers(data, "Ada");
    expect((await own.add(answer("b"))).next).toBe("c");
    expect(own.isKept).toBe(false);
    expect(own.count).toBe(1);
    expect((await own.state()).next).toBe("c");
  });

  test("go to the kernel when it is back; one that it has already is dropped", async () => {
    const own = new PageAnswers(data, "Ada");
    await own.add(answer("b"));
    await own.add(answer("c"));
    const got: string[] = [];
    globalThis.fetch = ((_: string, { body }: { body: string }) => {
      const { image } = JSON.parse(body);
      got.push(image);
      const state = { answered: ["a", "b"], next: "c" };
      return Promise.resolve(
        image === "b" ? Response.json({ message: "known", state }, { status: 409 }) : Response.json(state),
      );
    }) as unknown as typeof fetch;
    expect(await own.bringTo(new KernelAnswers(data, "Ada"))).toBe(1);
    expect(got).toEqual(["b", "c"]);
    expect([...browser.texts.keys()]).toEqual(["convlens-trial-known/t/Ada"]);
    expect(own.count).toBe(0);
  });

  test("stay where the kernel has not come to, as after its file was put away", async () => {
    const own = new PageAnswers(data, "Ada");
    await own.add(answer("b"));
    const state = { answered: [], next: "a" };
    globalThis.fetch = () => Promise.resolve(Response.json({ message: "not next", state }, { status: 409 }));
    expect(await own.bringTo(new KernelAnswers(data, "Ada"))).toBe(0);
    expect(new PageAnswers(data, "Ada").count).toBe(1);
  });

  test("stay where the kernel cannot write them, or is gone", async () => {
    const own = new PageAnswers(data, "Ada");
    await own.add(answer("b"));
    globalThis.fetch = () => Promise.resolve(Response.json({ message: "The disk is full." }, { status: 507 }));
    await expect(own.bringTo(new KernelAnswers(data, "Ada"))).rejects.toThrow("The disk is full.");
    globalThis.fetch = () => Promise.reject(new TypeError("Failed to fetch"));
    const gone = own.bringTo(new KernelAnswers(data, "Ada"));
    await expect(gone).rejects.not.toBeInstanceOf(Refused);
    await expect(gone).rejects.toThrow("Failed to fetch");
    expect(new PageAnswers(data, "Ada").count).toBe(1);
  });
});
