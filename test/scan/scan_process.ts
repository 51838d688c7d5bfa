/**
 * A scan in a process of its own, to be killed: prints how many images are kept, and at the end how many rows there are.
 *
 * Usage: scan_process.ts FOLDER
 */

import { dataset } from "../../lib/data/dataset.ts";
import { messageOf } from "../../lib/errors.ts";
import { topPatches } from "../../lib/methods/top_patches.ts";
import { loadModel } from "../../lib/model/load.ts";
import { useBackend } from "../../lib/runtime/backend.ts";
import { tinyNet, uniforms } from "../nets.ts";

const IMAGES = 160;
const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

await useBackend("cpu");
const random = uniforms(1);
const images = Array.from({ length: IMAGES }, (_, i) => ({
  id: `image ${i}`,
  // Some are torn, the last of them too.
  image: i % 53 === 0 || i === IMAGES - 1
    ? new Uint8Array([1, 2, 3])
    : { data: Float32Array.from({ length: 48 }, () => Math.floor(256 * random())), shape: [4, 4, 3] },
}));
try {
  const { rows } = await topPatches(await loadModel(await tinyNet()), dataset(images), {
    folder: Deno.args[0],
    cells: "all",
    top: 20,
    batchSize: 2,
    onProgress: (done) => say(`kept ${done}`),
  });
  say(`rows ${rows.length}`);
} catch (error) {
  say(messageOf(error));
}
