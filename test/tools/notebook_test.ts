import { describe, expect, test } from "vitest";
import { notebookText, type Output, OutputFiler, parseNotebook } from "../../lib/tools/notebook.ts";

describe("parseNotebook", () => {
  test("reads format 4 and gives cells the ids that 4.5 wants", () => {
    const notebook = { nbformat: 4, nbformat_minor: 2, metadata: {}, cells: [{ cell_type: "markdown", source: "a" }] };
    const parsed = parseNotebook(JSON.stringify(notebook), "old.ipynb");
    expect(parsed.nbformat_minor).toBe(5);
    expect(parsed.cells[0].id).toBe("cell-0");
    expect(parseNotebook(notebookText(parsed), "again")).toEqual(parsed);
  });

  test.each([
    ["no JSON", "<html>", /^a\.ipynb is no Jupyter notebook: it is not JSON/],
    ["format 3", '{ "nbformat": 3, "worksheets": [] }', /^a\.ipynb .* found nbformat 3\. Save it again/],
    ["something else", "null", /^a\.ipynb .* found nbformat undefined/],
  ])("refuses %s", (_, text, message) => {
    expect(() => parseNotebook(text, "a.ipynb")).toThrow(message);
    expect(() => parseNotebook(text, "a.ipynb")).toThrow(TypeError);
  });
});

describe("OutputFiler", () => {
  const show = (text: string, id?: string) => ({
    data: { "text/plain": text },
    metadata: {},
    transient: id ? { display_id: id } : {},
  });

  test("joins what one stream says in a row", () => {
    const outputs: Output[] = [];
    const filer = new OutputFiler();
    for (const [name, text] of [["stdout", "a"], ["stdout", "b"], ["stderr", "c"], ["stdout", "d"]]) {
      expect(filer.file(outputs, "stream", { name, text })).toBe(true);
    }
    expect(outputs.map((output) => output.output_type === "stream" && output.text)).toEqual(["ab", "c", "d"]);
  });

  test("updates every output of a name, in whatever cell", () => {
    const [first, second]: Output[][] = [[], []];
    const filer = new OutputFiler();
    filer.file(first, "display_data", show("one", "a"));
    filer.file(second, "display_data", show("two", "a"));
    filer.file(second, "display_data", show("three", "b"));
    expect(filer.file(second, "update_display_data", show("new", "a"))).toBe(true);
    const texts = [...first, ...second].map((output) => "data" in output && output.data["text/plain"]);
    expect(texts).toEqual(["new", "new", "three"]);
  });

  test("passes over what is no output and updates of nothing", () => {
    const outputs: Output[] = [];
    const filer = new OutputFiler();
    expect(filer.file(outputs, "execute_input", { code: "1" })).toBe(false);
    expect(filer.file(outputs, "update_display_data", show("new", "nobody"))).toBe(false);
    expect(outputs).toEqual([]);
  });
});
