/** Loading a model takes little more memory than its weights do. */

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { ALL } from "../long.ts";

const isLinux = Deno.build.os === "linux";
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

test.runIf(ALL && isLinux)("a model.json of 40 MB is loaded in twice the memory of its weights", async () => {
  const tf = await ensureBackend();
  const folder = await Deno.makeTempDir();
  try {
    const layers = Array.from({ length: 10 }, () => tf.layers.dense({ units: 1000 }));
    const network = tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [1000] }), ...layers] });
    const model = await loadModel(network, { output: "numbers" });
    await model.save(`${folder}/large`);
    model.dispose();
    const small = here("../../data/cifar-convnet/model.json");
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--config",
        here("../../deno.json"),
        here("peak_memory.ts"),
        small,
        `${folder}/large`,
      ],
      env: { CONVLENS_BACKEND: "wasm" },
    }).output();
    expect(success, new TextDecoder().decode(stderr)).toBe(true);
    const { bytes, ratio } = JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
    expect(bytes).toBe(4 * 10 * 1001 * 1000);
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}, 60_000);
