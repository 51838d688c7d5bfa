/** Loading a model takes little more memory than its weights do, whatever its format and wherever it is. */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ALL } from "../long.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** 100 MB of weights. */
const [LAYERS, UNITS] = [25, 1000];

/** Runs a program of this folder. */
async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", here("../../deno.json"), here(program), ...args],
    env: { CONVLENS_BACKEND: "wasm" },
  }).output();
  expect(success, new TextDecoder().decode(stderr)).toBe(true);
  return new TextDecoder().decode(stdout).trim();
}

/** The peak while a file is loaded, in a process of its own, over the bytes of its weights. */
async function peakOf(file: string): Promise<number> {
  const said = await run("peak_memory.ts", here("../../data/cifar-convnet/model.json"), file);
  const { bytes, ratio } = JSON.parse(said.split("\n").at(-1)!);
  expect(bytes).toBe(4 * LAYERS * UNITS ** 2);
  return ratio;
}

describe.runIf(ALL && Deno.build.os === "linux")("100 MB of weights are loaded in twice their memory", () => {
  let folder: string;
  beforeAll(async () => void (folder = await Deno.makeTempDir()));
  afterAll(() => Deno.remove(folder, { recursive: true }));

  test.each(["net.h5", "net.keras", "net.graph", "net.zip", "net.onnx"])("%s", async (name) => {
    const path = `${folder}/${name}`;
    await run("large_files.ts", `${LAYERS}`, `${UNITS}`, path);
    const ratio = await peakOf(path);
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(2);
    if (name !== "net.onnx") return await Deno.remove(path, { recursive: true });
    // The same one from the web.
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async () => new Response((await Deno.open(path)).readable),
    );
    try {
      expect(await peakOf(`http://127.0.0.1:${server.addr.port}/net.onnx`)).toBeLessThan(2);
    } finally {
      await server.shutdown();
    }
  }, 60_000);
});
