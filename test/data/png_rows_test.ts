import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { deflateSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { decodeBytes } from "../../lib/codec.ts";
import { pngRows } from "../../lib/data/png_rows.ts";
import { randomStream } from "../../lib/random.ts";
import { longTest } from "../long.ts";
import { chunk, concat, GREY, header, png, RGB, SIGNATURE } from "./png.ts";

const WIDTH = 7;
const HEIGHT = 40;

/** Random bytes behind each row's filter, which takes turns: the decoder must undo each. */
function filtered(height = HEIGHT, filters = 5): Uint8Array<ArrayBuffer> {
  const random = randomStream(3);
  return Uint8Array.from(
    { length: height * (1 + 3 * WIDTH) },
    (_, i) => i % (1 + 3 * WIDTH) === 0 ? Math.floor(i / (1 + 3 * WIDTH)) % filters : 256 * random(),
  );
}

/** A PNG whose packed pixels stand in chunks of a few bytes. */
function file(lines: Uint8Array): Uint8Array<ArrayBuffer> {
  const packed = deflateSync(lines);
  const parts = Array.from(
    { length: Math.ceil(packed.length / 100) },
    (_, i) => packed.subarray(100 * i, 100 * i + 100),
  );
  return concat(
    SIGNATURE,
    header(WIDTH, HEIGHT, 8, RGB),
    ...parts.map((part) => chunk("IDAT", part)),
    chunk("IEND", new Uint8Array()),
  );
}

let folder: string;
beforeAll(async () => {
  folder = await Deno.makeTempDir();
});
afterAll(() => Deno.remove(folder, { recursive: true }));

async function rowsOf(bytes: Uint8Array): Promise<number[][]> {
  const path = join(folder, "rows.png");
  await Deno.writeFile(path, bytes);
  return await Array.fromAsync(pngRows(path), (row) => [...row]);
}

test("rows are those that libpng decodes, whatever their filter", async () => {
  const bytes = file(filtered());
  const { data } = await decodeBytes(bytes, { name: "whole" });
  const rows = await rowsOf(bytes);
  expect(rows).toHaveLength(HEIGHT);
  expect(rows.flat()).toEqual([...data]);
});

test("what is damaged, or of another kind, is refused", async () => {
  const whole = file(filtered());
  const damaged = whole.slice();
  damaged[whole.length >> 1] ^= 1;
  await expect(rowsOf(damaged)).rejects.toThrow(
    /rows\.png" cannot be decoded: the checksum of its chunk "IDAT" differs/,
  );
  await expect(rowsOf(whole.subarray(0, 300))).rejects.toThrow("it is cut off. Fetch the file again");
  await expect(rowsOf(file(filtered(HEIGHT - 1)))).rejects.toThrow("it has 39 of its 40 rows");
  await expect(rowsOf(file(filtered(HEIGHT + 1)))).rejects.toThrow("it has more than its 40 rows");
  await expect(rowsOf(file(filtered(HEIGHT, 6)))).rejects.toThrow("its filter 5 does not exist");
  await expect(rowsOf(png({ width: 2, color: GREY, rows: [[1, 2]] }))).rejects.toThrow("other than 8 bits of RGB");
  await expect(rowsOf(new TextEncoder().encode("GIF89a, and more"))).rejects.toThrow("it is GIF; wanted PNG");
});

test("the file is closed when its reader stops early", async () => {
  const path = join(folder, "early.png");
  await Deno.writeFile(path, file(filtered()));
  for (let i = 0; i < 5; i++) {
    for await (const row of pngRows(path)) if (row.length > 0) break;
  }
  const open = async () => {
    const files = await Array.fromAsync(Deno.readDir("/proc/self/fd"), ({ name }) => `/proc/self/fd/${name}`);
    const paths = await Promise.all(files.map((file) => Deno.readLink(file).catch(() => "")));
    return paths.filter((found) => found === path).length;
  };
  // A read that was under way ends first.
  await expect.poll(open).toBe(0);
});

longTest("a walk over all of CIFAR-10 takes hardly more memory than one over a tenth of it", async () => {
  const peak = async (limit: number): Promise<number> => {
    const program = `import { cifar10 } from ${JSON.stringify(new URL("../../lib/data/cifar10.ts", import.meta.url))};
      for await (const _ of await cifar10({ limit: ${limit} }));
      console.log(/VmHWM:\\s+(\\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))[1]);`;
    const { stdout } = await promisify(execFile)(Deno.execPath(), ["eval", program], { encoding: "utf8" });
    return Number(stdout.trim().split("\n").at(-1));
  };
  const [few, many] = [await peak(5000), await peak(50_000)];
  console.log(`A walk over 5,000 images took ${few / 1000 | 0} MB at most, over 50,000 ${many / 1000 | 0} MB.`);
  // The young generation of the heap grows, to 16 MB and its copy. Files that were decoded whole took 200 MB more.
  expect(many - few).toBeLessThan(64_000);
}, 120_000);
