import { afterAll, describe, expect, test } from "vitest";
import { ParquetWriter } from "../../lib/data/parquet.ts";
import { openParquet } from "../../lib/data/table.ts";

const folder = await Deno.makeTempDir();
afterAll(() => Deno.remove(folder, { recursive: true }));

const names = async () => (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
const bitsOf = ({ buffer, byteOffset, length }: Float32Array) => [...new Uint32Array(buffer, byteOffset, length)];

describe("Parquet files", () => {
  test("hold what was written, as Polars reads it, group after group", async () => {
    const path = `${folder}/all.parquet`;
    const writer = await ParquetWriter.create(path, [
      { name: "id", kind: "text" },
      { name: "label", kind: "text" },
      { name: "picture", kind: "bytes" },
      { name: "code", kind: "vectors" },
    ]);
    const ids: string[] = [];
    const labels: (string | undefined)[] = [];
    const codes: number[] = [];
    const pictures: number[] = [];
    // Lengths below and above those of one byte, and a group of a single row.
    for (const rows of [3, 200, 1]) {
      const from = ids.length;
      const id = Array.from({ length: rows }, (_, i) => `bïld 🐕 ${from + i}`);
      const label = id.map((_, i) =>
        (from + i) % 5 === 0 ? undefined : (from + i) % 7 === 0 ? "" : "cat".repeat(i % 90)
      );
      const code = Float32Array.from({ length: rows * 131 }, (_, i) => Math.sin(131 * from + i) * 10 ** (i % 60 - 30));
      code.set([-0, NaN, Infinity, -Infinity, 1e-45]);
      const picture = Uint8Array.from({ length: rows * 12 }, (_, i) => 12 * from + i);
      await writer.write(rows, [id, label, { data: picture, length: 12 }, { data: code, length: 131 }]);
      ids.push(...id);
      labels.push(...label);
      codes.push(...bitsOf(code));
      pictures.push(...picture);
      expect(await names()).not.toContain("all.parquet");
    }
    await writer.finish();
    expect(await names()).toEqual(["all.parquet"]);
    const table = (await openParquet(path))!;
    expect(table.columns).toEqual(["id", "label", "picture", "code"]);
    expect(table.count).toBe(204);
    expect(table.texts("id", 0, 204)).toEqual(ids);
    expect(table.texts("label", 0, 204)).toEqual(labels);
    const read = table.vectors("code", 0, 204);
    expect(read.length).toBe(131);
    expect(bitsOf(read.data).findIndex((bits, i) => bits !== codes[i])).toBe(-1);
    expect(table.bytes("picture", 0, 204)).toEqual({ data: Uint8Array.from(pictures), length: 12 });
    // Across the border of groups.
    expect(table.texts("id", 2, 2)).toEqual(ids.slice(2, 4));
    expect(bitsOf(table.vectors("code", 202, 2).data)).toEqual(codes.slice(202 * 131));
  });

  test("hold vectors of one number, many columns, and names of any length", async () => {
    const path = `${folder}/wide.parquet`;
    const columns = Array.from(
      { length: 40 },
      (_, i) => ({ name: `${i}${"x".repeat(4 * i)}`, kind: "vectors" as const }),
    );
    const writer = await ParquetWriter.create(path, columns);
    await writer.write(3, columns.map((_, i) => ({ data: Float32Array.of(i, i + 1, i + 2), length: 1 })));
    await writer.finish();
    const table = (await openParquet(path))!;
    expect(table.columns).toEqual(columns.map(({ name }) => name));
    expect([...table.vectors(columns[39].name, 0, 3).data]).toEqual([39, 40, 41]);
  });

  test("that are given up leave nothing, and what stood there still does", async () => {
    const path = `${folder}/all.parquet`;
    const before = await Deno.readFile(path);
    const writer = await ParquetWriter.create(path, [{ name: "id", kind: "text" }]);
    await writer.write(1, [["only one"]]);
    await writer.abandon();
    expect(await names()).toEqual(["all.parquet", "wide.parquet"]);
    expect(await Deno.readFile(path)).toEqual(before);
    await expect(ParquetWriter.create(`${folder}/nowhere/x.parquet`, [])).rejects.toThrow(Deno.errors.NotFound);
  });

  test("that are none, or hold something else, are told", async () => {
    expect(await openParquet(`${folder}/missing.parquet`)).toBeNull();
    await Deno.writeTextFile(`${folder}/text`, "not a table");
    await expect(openParquet(`${folder}/text`)).rejects.toThrow("cannot be read as a Parquet file");
    const path = `${folder}/odd.parquet`;
    const writer = await ParquetWriter.create(path, [{ name: "code", kind: "vectors" }]);
    await writer.write(2, [{ data: Float32Array.of(1, 2, 3, 4), length: 2 }]);
    await writer.write(1, [{ data: Float32Array.of(1, 2, 3), length: 3 }]);
    await writer.finish();
    const table = (await openParquet(path))!;
    expect(table.vectors("code", 0, 2).length).toBe(2);
    expect(() => table.vectors("code", 0, 3)).toThrow("row 0 holds 2, row 2 3");
  });
});
