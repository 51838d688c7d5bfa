import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Figure, Shown } from "../../lib/figure/figure.ts";
import { displaySymbol, type MimeBundle } from "../../lib/notebook/display.ts";

const picture = {
  kind: "picture" as const,
  pixels: { data: new Uint8Array(12).fill(200), width: 2, height: 2 },
  alt: "grey",
};
const plain = new Figure({ title: "A title", caption: "A caption", blocks: [picture] });

describe("the bundle of a figure", () => {
  test("has one image for each picture, those in rows counted", async () => {
    const row = new Figure({
      title: "a",
      blocks: [picture, { kind: "row", blocks: [{ ...picture }, { ...picture }] }],
    });
    expect((await row.html()).match(/<img /g)).toHaveLength(3);
  });
});

describe("a figure in a terminal", () => {
  test("prints what its blocks say: notes, bars, tables, and charts where there is no table", () => {
    const bars = { kind: "bars" as const, width: 100, rows: [{ label: "cat", value: 0.5, text: "50 %" }] };
    const chart = { kind: "chart" as const, series: [], x: { title: "" }, y: { title: "" }, alt: "a line that falls" };
    const row = { kind: "row" as const, heading: "Row", note: "noted", blocks: [{ ...picture, note: "dark" }, bars] };
    const table = {
      kind: "table" as const,
      columns: [{ title: "map" }, { title: "area", align: "right" as const }],
      rows: [["saliency", "0.5"]],
    };
    const lines = ["T", "  Row  noted", "  dark", "     50 %  cat"];
    expect(new Figure({ title: "T", blocks: [row, chart] }).text.split("\n")).toEqual([
      ...lines,
      "  a line that falls",
    ]);
    expect(new Figure({ title: "T", caption: "C", blocks: [row, chart, table] }).text.split("\n")).toEqual(
      [...lines.filter((line) => line !== "  dark"), "  map       area", "  saliency   0.5", "C"],
    );
    expect(new Figure({ title: "T", caption: "C", blocks: [table], lines: ["one"] }).text).toBe("T\n  one\nC");
  });

  test("prints its text: by console.log, and by show", async () => {
    expect(Deno.inspect(plain)).toBe("A title\nA caption");
    expect(Deno.inspect(new Figure({ title: "A title", blocks: [], text: "some words" }))).toBe("some words");
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    try {
      await plain.show();
      expect(log.mock.calls).toEqual([["A title\nA caption"]]);
    } finally {
      log.mockRestore();
    }
  });

  test("and so does whatever shows itself by a figure", async () => {
    class Result extends Shown {
      override figure() {
        return plain;
      }
    }
    const result = new Result();
    expect(Deno.inspect(result)).toBe("A title\nA caption");
    expect(await (result as unknown as { [displaySymbol](): Promise<MimeBundle> })[displaySymbol]()).toEqual(
      await plain.bundle(),
    );
  });
});

describe("save", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await Deno.makeTempDir();
  });
  afterAll(() => Deno.remove(folder, { recursive: true }));

  test("writes the PNG", async () => {
    await plain.save(`${folder}/a.png`);
    expect(await Deno.readFile(`${folder}/a.png`)).toEqual(await plain.png());
  });

  test("writes a page of its own, its title escaped", async () => {
    const figure = new Figure({ title: "<b> & co", blocks: [picture] });
    await figure.save(`${folder}/a.html`);
    const page = await Deno.readTextFile(`${folder}/a.html`);
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">\n<meta charset="utf-8">/);
    expect(page).toContain("<title>&lt;b&gt; &amp; co</title>");
    expect(page).toContain('<meta name="color-scheme" content="light dark">');
    expect(page).toContain(await figure.html());
  });

  test("writes the SVG and the PDF", async () => {
    await plain.save(`${folder}/a.svg`);
    expect(await Deno.readTextFile(`${folder}/a.svg`)).toBe(await plain.svg());
    await plain.save(`${folder}/a.pdf`);
    expect(await Deno.readTextFile(`${folder}/a.pdf`)).toMatch(/^%PDF-1\.\d/);
  });

  test("knows the ending in capitals and the path of a URL, as other programs write them", async () => {
    await plain.save(`${folder}/b.PNG`);
    expect(await Deno.readFile(`${folder}/b.PNG`)).toEqual(await plain.png());
    await plain.save(pathToFileURL(`${folder}/c.png`));
    expect(await Deno.readFile(`${folder}/c.png`)).toEqual(await plain.png());
  });

  test("refuses other endings by name, and writes nothing", async () => {
    await expect(plain.save(`${folder}/a.jpg`)).rejects.toThrow(
      `A figure is saved as .png, .svg, .pdf or .html: received the path "${folder}/a.jpg".`,
    );
    await expect(plain.save(`${folder}/png`)).rejects.toThrow(RangeError);
    await expect(Deno.stat(`${folder}/a.jpg`)).rejects.toThrow(Deno.errors.NotFound);
  });

  test("says which folder is missing", async () => {
    await expect(plain.save(`${folder}/missing/a.png`)).rejects.toThrow(/missing/);
  });
});
