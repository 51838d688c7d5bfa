import { describe, expect, test } from "vitest";
import * as mod from "../../mod.ts";
import { publicNames } from "../../lib/methods/shared/doc_comments.ts";
import { displaySymbol } from "../../lib/notebook/display.ts";

const { activations, codes, help, NdArray, saliency } = mod;

describe("help", () => {
  test("tells how a function is called, its options with defaults, and one example", () => {
    const { signatures, about, entries, example } = help(activations);
    expect(signatures).toContainEqual(
      expect.stringMatching(
        /^activations\(model: Model, image: ImageLike, options\?: Partial<ActivationsOptions>.*\): Promise</,
      ),
    );
    expect(about).toMatch(/^Runs an image through a model/);
    const channels = entries.find(({ name }) => name === "channels");
    expect(channels).toEqual({
      name: "channels",
      type: "readonly number[]",
      fallback: "all",
      about: "Which channels to keep.",
    });
    expect(example).toContain("await activations(model");
    expect(String(help(activations))).toMatch(
      /\n {2}channels +readonly number\[\], default all\n {2,}Which channels to keep/,
    );
  });

  test("gives the options that an attribution method inherits, and its two ways of being called", () => {
    const { signatures, entries } = help(saliency);
    expect(signatures).toEqual([
      expect.stringMatching(/^saliency\(model: Model, image: .*\): Promise<Attribution>$/),
      expect.stringMatching(/\): Promise<Collection<Attribution>>$/),
    ]);
    expect(entries.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["signed", "target", "signal", "onProgress"]),
    );
    expect(entries[1].fallback).toBe('"predicted"');
  });

  test("leaves out what implements overloads", () => {
    const { signatures } = help(codes);
    expect(new Set(signatures).size).toBe(signatures.length);
    expect(signatures.filter((text) => text.includes("Codes | CodesFile"))).toEqual([]);
  });

  test("knows every public function and class, and its options", () => {
    const listed = help().entries.map(({ name }) => name);
    for (const [name, value] of Object.entries(mod)) {
      if (typeof value !== "function") continue;
      expect(help(value).about, name).not.toBe("");
      if (!/^[A-Z]/.test(name)) expect(listed).toContain(name);
      // An option that one cannot read of is none.
      for (const entry of help(value).entries) expect(entry.about, `${name} ${entry.name}`).not.toBe("");
    }
  });

  test("of every class of options has each option explained, with the default that it has", async () => {
    const classes = [...publicNames()].filter(([name, [{ kind }]]) => name.endsWith("Options") && kind === "class");
    expect(classes.length).toBeGreaterThan(40);
    for (const [name, [{ location }]] of classes) {
      const module = await import(location.filename) as Record<string, new () => Record<string, unknown>>;
      const options = new module[name]();
      const { entries } = help(name);
      expect(entries.map((entry) => entry.name).toSorted(), name).toEqual(Object.keys(options).toSorted());
      for (const entry of entries) {
        const value = options[entry.name];
        expect(entry.about, `${name}.${entry.name}`).not.toBe("");
        if (value === undefined || typeof value === "object" || entry.name === "kind") continue;
        expect(entry.fallback, `${name}.${entry.name}`).toMatch(new RegExp(`^${RegExp.escape(JSON.stringify(value))}`));
      }
    }
  });

  test("tells of a result what it holds and does, by its class", () => {
    const { entries, signatures } = help(NdArray.from([1]));
    expect(signatures[0]).toMatch(/^new NdArray\(data: /);
    const names = entries.map(({ name }) => name);
    expect(names).toContain("mean(axis: number | readonly number[])");
    expect(names).toContain("shape");
    expect(help("Attribution").entries.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["map", "remark", expect.stringMatching(/^save\(path: /)]),
    );
    expect(help("Attribution").signatures).toEqual([]);
  });

  test("shows itself in a cell without await, as a page and as text; labels are no markup", () => {
    const bundle = (help(activations) as unknown as Record<symbol, () => Record<string, string>>)[displaySymbol]();
    expect(bundle["text/plain"]).toBe(String(help(activations)));
    expect(bundle["text/html"]).toContain("<code>channels</code>");
    expect(bundle["text/html"]).toContain("Promise&lt;Activations&gt;");
    expect(Deno.inspect(help(activations))).toBe(bundle["text/plain"]);
  });

  test("says what it does not know", () => {
    expect(() => help("salincy")).toThrow(/no function or class "salincy" in convlens\. The nearest: "saliency"/);
    expect(() => help({})).toThrow("help takes a function or class of convlens, its name, or a result");
    expect(() => help(() => 1)).toThrow(/received a function/);
    expect(() => help(3)).toThrow(/received 3/);
  });
});
