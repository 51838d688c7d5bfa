import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { explainPromises } from "../../lib/notebook/unawaited.ts";
import { runNotebook } from "../../lib/tools/kernel.ts";
import { parseNotebook } from "../../lib/tools/notebook.ts";
import { longTest } from "../long.ts";

const inspectSymbol = Symbol.for("Deno.customInspect");

describe("a promise that was not awaited", () => {
  /** Not the real prototype, which other tests share. */
  class Late extends Promise<unknown> {}
  explainPromises(Late.prototype);
  const pending = new Late(() => {}) as Late & Record<string, unknown>;

  test("says so when it is printed", () => {
    expect(Deno.inspect(pending)).toMatch(/<pending> \} \(not awaited: write await before the call/);
    expect(Deno.inspect({ deep: [pending] })).toContain("not awaited");
    expect(Deno.inspect(Late.resolve(3))).toMatch(/\{ 3 \} \(not awaited/);
    expect(Deno.inspect(Object.freeze(new Late(() => {})))).toContain("not awaited");
  });

  test("says so when it is asked for what only a result has", () => {
    expect(() => pending.rows).toThrow("This is a promise of a result and has no rows itself: write await before");
    expect(() => pending.map).toThrow(TypeError);
    expect(pending.anything).toBeUndefined();
  });

  test("is a promise like any other otherwise", async () => {
    const own = Late.resolve("done") as Late & Record<string, unknown>;
    own.rows = [1];
    expect([own.rows, Object.keys(own), await own]).toEqual([[1], ["rows"], "done"]);
    expect(Object.keys(pending)).toEqual([]);
  });

  afterAll(() => expect(inspectSymbol in Promise.prototype).toBe(false));
});

longTest("in a cell a missing await is told: as the last value, printed, and asked for its rows", async () => {
  const mod = new URL("../../mod.ts", import.meta.url).href;
  const cells = [
    `import { catsVsDogsConvnet, filters, help } from ${
      JSON.stringify(mod)
    };\nconst model = await catsVsDogsConvnet();`,
    "filters(model)",
    "console.log(filters(model))",
    "try { filters(model).rows } catch (error) { console.log(error.message) }",
    "help(filters)",
  ].map((source) => ({ cell_type: "code", metadata: {}, source, execution_count: null, outputs: [] }));
  const notebook = parseNotebook(
    JSON.stringify({
      cells,
      metadata: { kernelspec: { name: "deno", display_name: "Deno", language: "typescript" } },
      nbformat: 4,
      nbformat_minor: 4,
    }),
    "unawaited.ipynb",
  );
  const run = await runNotebook(
    notebook,
    {
      folder: fileURLToPath(new URL("../../notebooks/", import.meta.url)),
    },
  );
  const texts = run.notebook.cells.map((cell) => JSON.stringify((cell as { outputs?: unknown }).outputs));
  expect(texts[1]).toContain("not awaited: write await before the call");
  expect(texts[2]).toContain("not awaited");
  expect(texts[3]).toContain("has no rows itself");
  expect(texts[4]).toContain("filters(model: Model");
}, 120_000);
