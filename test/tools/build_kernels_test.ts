import { expect, test } from "vitest";
import { compile, fileOf, KERNELS } from "../../lib/tools/build_kernels.ts";

test.each(Object.entries(KERNELS))("the binary of %s is what its sources make", async (_, kernels) => {
  const there = await Deno.readFile(kernels.binary);
  const made = fileOf(kernels, await compile(kernels));
  expect(made.length).toBe(there.length);
  expect(made.every((byte, i) => byte === there[i])).toBe(true);
});

test("sources that do not compile are told in the compiler's words", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/kernels.as`, "export function broken(: i32 { }");
  try {
    const sources = new URL(`file://${folder}/`);
    await expect(compile({ ...KERNELS.embedding, sources })).rejects.toThrow(/does not compile.*ERROR/s);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
