import { afterAll, describe, expect, test } from "vitest";
import pl from "nodejs-polars";
import { ParquetFile, ParquetWriter } from "../../lib/data/parquet.ts";
import { mutated } from "../damage.ts";
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";

const folder = await Deno.makeTempDir();
afterAll(() => Deno.remove(folder, { recursive: true }));

const names = async () => (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
const bitsOf = ({ buffer, byteOffset, length }: Float32Array) => [...new Uint32Array(buffer, byteOffset, length)];

describe("Parquet files", () => {
  test("hold what was written, group after group, as Polars reads it too", async () => {
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
    const table = (await ParquetFile.open(path))!;
    expect(table.columns).toEqual(["id", "label", "picture", "code"]);
    expect(table.count).toBe(204);
    expect(await table.texts("id")).toEqual(ids);
    expect(await table.texts("label")).toEqual(labels);
    const read = await table.vectors("code");
    expect(read.length).toBe(131);
    expect(bitsOf(read.data).findIndex((bits, i) => bits !== codes[i])).toBe(-1);
    expect(await table.bytes("picture")).toEqual({ data: Uint8Array.from(pictures), length: 12 });
    const frame = pl.readParquet(path);
    expect(frame.getColumn("id").toArray()).toEqual(ids);
    expect(frame.getColumn("label").toArray()).toEqual(labels.map((label) => label ?? null));
    const numbers = frame.getColumn("code").explode().toTypedArray() as Float32Array;
    expect(bitsOf(numbers).findIndex((bits, i) => bits !== codes[i])).toBe(-1);
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
    const table = (await ParquetFile.open(path))!;
    expect(table.columns).toEqual(columns.map(({ name }) => name));
    expect([...(await table.vectors(columns[39].name)).data]).toEqual([39, 40, 41]);
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

  test("of writers that were killed are removed by the next one, those of living ones are not", async () => {
    const path = `${folder}/taken.parquet`;
    const module = new URL("../../lib/data/parquet.ts", import.meta.url).href;
    const columns = [{ name: "id", kind: "text" as const }];
    // A process that begins the file, and ends without a word.
    const begin = `const { ParquetWriter } = await import(${JSON.stringify(module)});
      const writer = await ParquetWriter.create(${JSON.stringify(path)}, ${JSON.stringify(columns)});
      await writer.write(1, [["half"]]);
      process.kill(process.pid, "SIGKILL");`;
    await new Deno.Command(Deno.execPath(), { args: ["eval", "--no-check", begin] }).output();
    const parts = async () => (await names()).filter((name) => name.startsWith("taken.parquet."));
    const [left] = await parts();
    expect(left).toMatch(/\.partial$/);
    const alive = await ParquetWriter.create(path, columns);
    expect(await parts()).not.toContain(left);
    const other = await ParquetWriter.create(path, columns);
    expect(await parts()).toHaveLength(2);
    await other.abandon();
    await alive.write(1, [["whole"]]);
    await alive.finish();
    expect(await parts()).toEqual([]);
    expect(await (await ParquetFile.open(path))!.texts("id")).toEqual(["whole"]);
    await Deno.remove(path);
  });

  const MUTATED = long(2000, 60);
  test(`${MUTATED} damaged files: an error that names the file, or the same content`, async () => {
    const path = `${folder}/damaged.parquet`;
    const writer = await ParquetWriter.create(path, [{ name: "id", kind: "text" }, { name: "code", kind: "vectors" }]);
    const data = Float32Array.from({ length: 400 }, (_, i) => Math.sin(i));
    await writer.write(20, [Array.from({ length: 20 }, (_, i) => `image ${i}`), { data, length: 20 }]);
    await writer.finish();
    const contentOf = async () => {
      const file = (await ParquetFile.open(path))!;
      return [file.columns, await file.texts("id"), await file.vectors("code")];
    };
    const [good, truth] = [await Deno.readFile(path), await contentOf()];
    const random = uniforms(11);
    const counts = { refused: 0, equal: 0 };
    for (let i = 0; i < MUTATED; i++) {
      await Deno.writeFile(path, mutated(good, random));
      try {
        expect(await contentOf()).toEqual(truth);
        counts.equal++;
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        expect((error as Error).message).toContain(path);
        counts.refused++;
      }
    }
    console.log(`${MUTATED} damaged files of codes: ${counts.refused} refused by name, ${counts.equal} equal`);
    expect(counts.refused).toBeGreaterThan(0.9 * MUTATED);
    await Deno.remove(path);
  });

  test("that are none, or hold something else, are told", async () => {
    expect(await ParquetFile.open(`${folder}/missing.parquet`)).toBeNull();
    await Deno.writeTextFile(`${folder}/text`, "not a table");
    await expect(ParquetFile.open(`${folder}/text`)).rejects.toThrow("cannot be read as a Parquet file");
    const path = `${folder}/odd.parquet`;
    const writer = await ParquetWriter.create(path, [{ name: "code", kind: "vectors" }]);
    await writer.write(2, [{ data: Float32Array.of(1, 2, 3, 4), length: 2 }]);
    await writer.write(1, [{ data: Float32Array.of(1, 2, 3), length: 3 }]);
    await writer.finish();
    const table = (await ParquetFile.open(path))!;
    await expect(table.vectors("code")).rejects.toThrow("row 0 holds 2, row 2 3");
    await expect(table.bytes("code")).rejects.toThrow("row 0 holds 2, row 2 3");
    const whole = await Deno.readFile(path);
    await Deno.writeFile(path, whole.subarray(whole.length - 300));
    await expect(ParquetFile.open(path).then((cut) => cut!.vectors("code"))).rejects.toThrow();
  });

  test.each(["uncompressed", "snappy", "zstd", "gzip", "brotli"] as const)(
    "that Polars wrote are read: %s",
    async (compression) => {
      const path = `${folder}/polars-${compression}.parquet`;
      const lists = Array.from({ length: 3000 }, (_, i) => [i, i / 7, -i]);
      const frame = pl.DataFrame({
        id: lists.map((_, i) => i % 10 ? `bïld ${i}` : null),
        code: lists,
        number: lists.map((_, i) => i),
        gaps: lists.map(([a], i) => i === 5 ? [a, null] : [a, a]),
      });
      frame.writeParquet(path, { compression });
      const table = (await ParquetFile.open(path))!;
      expect([table.count, table.columns]).toEqual([3000, ["id", "code", "number", "gaps"]]);
      expect(await table.texts("id")).toEqual(lists.map((_, i) => i % 10 ? `bïld ${i}` : undefined));
      expect(await table.texts("number")).toEqual(lists.map((_, i) => String(i)));
      expect((await table.vectors("code")).data).toEqual(Float32Array.from(lists.flat()));
      await expect(table.vectors("number")).rejects.toThrow("should hold lists of numbers: row 0 holds 0.");
      await expect(table.vectors("gaps")).rejects.toThrow("should hold numbers only: one of row 5 is null");
    },
  );
});
