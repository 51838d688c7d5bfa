import { describe, expect, test } from "vitest";
import { Figure, type SheetRow, Shown } from "../../lib/figure/figure.ts";
import { collect, Collection, Result } from "../../lib/results/result.ts";

class Counted extends Result<{ value: number }> {
  readonly rows: readonly { value: number }[];
  constructor(...values: number[]) {
    super();
    this.rows = values.map((value) => ({ value }));
  }
  override figure(): Figure {
    return new Figure({ title: `${this.rows.length} values`, blocks: [], text: this.rows.map((r) => r.value).join() });
  }
}

class Picture extends Shown {
  override figure(): Figure {
    return new Figure({ title: "a picture", blocks: [], text: "a picture" });
  }
}

class Named extends Shown {
  constructor(readonly name: string) {
    super();
  }
  override figure(): Figure {
    return new Figure({ title: this.name, caption: this.name, blocks: [] });
  }
}

describe("a collection", () => {
  const both = collect([new Counted(1, 2), new Counted(3)], "net · counts");

  test("is an array whose own methods return plain arrays", () => {
    expect(both).toBeInstanceOf(Collection);
    expect(Array.isArray(both)).toBe(true);
    expect(both.map((item) => item.rows.length)).toEqual([2, 1]);
    expect(both.map((item) => item)).not.toBeInstanceOf(Collection);
    expect(both.filter((item) => item.rows.length > 1)).not.toBeInstanceOf(Collection);
  });

  test("is one figure, whose title says how many there are", () => {
    const { title, text, blocks } = both.figure();
    expect(title).toBe("net · counts (2)");
    expect(text).toBe("net · counts (2)\n\n1,2\n\n3");
    expect(blocks).toHaveLength(2);
    expect(Deno.inspect(both)).toBe(text);
  });

  test("is a sheet of rows under their names; what is the same for all of them is said once, below", () => {
    class Row extends Shown {
      constructor(readonly name: string, readonly note: string, readonly caption: string) {
        super();
      }
      override figure(): Figure {
        return new Figure({ title: this.name, caption: this.caption, blocks: [] });
      }
      override sheetRow(): SheetRow {
        return { heading: this.name, note: this.note, blocks: [], caption: this.caption };
      }
    }
    const alike = collect([new Row("<b>a", "1", "Black is 0."), new Row("b", "2", "Black is 0.")]).figure();
    expect(alike.caption).toBe("Black is 0.");
    expect(alike.blocks.map(({ heading, note }) => [heading, note])).toEqual([["<b>a", "1"], ["b", "2"]]);
    const different = collect([new Row("a", "1", "Black is 0."), new Row("b", "2", "Black is 1.")]).figure();
    expect(different.caption).toBe("");
    expect(different.blocks.map(({ note }) => note)).toEqual(["1 · Black is 0.", "2 · Black is 1."]);
  });

  test("escapes names on the sheet", async () => {
    const html = await collect([new Named("<b>a"), new Named("<i>b")], "<u>net").figure().html();
    expect(html).not.toMatch(/<[biu]>/);
    expect(html).toContain("&lt;i&gt;b");
  });

  test("makes one table, with the place of each result", async () => {
    const table = await both.table();
    expect(table.columns).toEqual(["result", "value"]);
    expect(table.toRecords()).toEqual([{ result: 0, value: 1 }, { result: 0, value: 2 }, { result: 1, value: 3 }]);
  });

  test("has no table where its results have no rows", async () => {
    const pictures = collect([new Picture(), new Picture()], "net · pictures");
    expect(pictures.figure().title).toBe("net · pictures (2)");
    await expect(pictures.table()).rejects.toThrow(TypeError);
    await expect(pictures.table()).rejects.toThrow(/Result 0 of "net · pictures" is a Picture.* no rows/);
  });
});
