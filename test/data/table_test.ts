import { describe, expect, it } from "vitest";
import { toDataFrame } from "../../lib/data/table.ts";

describe("toDataFrame", () => {
  it("makes a column of each key, and comes back as the same rows", async () => {
    const rows = [
      { label: "French bulldog", index: 245, probability: 0.91, dead: false, box: [1, 2, 3, 4] },
      { label: "pug", index: 254, probability: 1, dead: true, box: [0.5] },
    ];
    const frame = await toDataFrame(rows);
    expect(frame.shape).toEqual({ height: 2, width: 5 });
    expect(frame.columns).toEqual(["label", "index", "probability", "dead", "box"]);
    expect(frame.toRecords()).toEqual(rows);
    expect(frame.filter(frame.getColumn("dead")).height).toBe(1);
  });

  it("puts null where a row has no value", async () => {
    const frame = await toDataFrame([{ a: null }, { a: 2, b: "x" }, { a: undefined, b: undefined }]);
    expect(frame.toRecords()).toEqual([{ a: null, b: null }, { a: 2, b: "x" }, { a: null, b: null }]);
    expect((await toDataFrame([{ a: null }, {}])).toRecords()).toEqual([{ a: null }, { a: null }]);
  });

  it("keeps fractions that come after whole numbers, large numbers, NaN and odd names", async () => {
    const values = [...new Array(200).fill(0), 0.5, 2 ** 40, -1e300, NaN];
    const frame = await toDataFrame(values.map((value) => ({ "<b>": value, constructor: "x" })));
    expect(frame.toRecords().map((row) => row["<b>"])).toEqual(values);
    expect(frame.columns).toEqual(["<b>", "constructor"]);
  });

  it("makes an empty frame of no rows", async () => {
    expect((await toDataFrame([])).shape).toEqual({ height: 0, width: 0 });
  });

  it("refuses a column of mixed kinds", async () => {
    await expect(toDataFrame([{ a: 1 }, { a: "1" }])).rejects.toThrow(/column "a" holds number and string/);
    await expect(toDataFrame([{ a: [1] }, { a: 1 }])).rejects.toThrow(TypeError);
  });
});
