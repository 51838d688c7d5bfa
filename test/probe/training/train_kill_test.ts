/** A run that is killed at any moment and taken up again reaches the same weights, bit by bit. */

import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { uniforms } from "../../nets.ts";
import { longTest } from "../../long.ts";

const script = fileURLToPath(new URL("train_process.ts", import.meta.url));
const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));

/**
 * Starts or resumes the run, and kills it so many milliseconds after its first line.
 *
 * @returns the hash of the weights, or null if it was killed before it had one; and the epochs that it had at its start
 *   and at its end
 */
async function run(checkpoint: string, killAfter?: number): Promise<{ hash: string | null; from: number; to: number }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script, checkpoint],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended, and its last lines are not read yet.
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (killAfter !== undefined) timer ??= setTimeout(kill, killAfter);
  }
  clearTimeout(timer);
  await child.status;
  const epochs = [...text.matchAll(/epoch (\d+)\n/g)].map(([, number]) => Number(number));
  return { hash: text.match(/weights (\w{64})\n/)?.[1] ?? null, from: epochs[0], to: epochs.at(-1)! };
}

const [CHAINS, KILLS] = [3, 4];

longTest(`kill -9 at ${CHAINS * KILLS} random moments`, async () => {
  const folder = await Deno.makeTempDir();
  const { hash: whole } = await run(`${folder}/whole.ckpt`);
  expect(whole).toMatch(/^\w{64}$/);
  const random = uniforms(Date.now());
  // Side by side, since most of the time is spent starting.
  const chains = Array.from({ length: CHAINS }, async (_, chain) => {
    const checkpoint = `${folder}/${chain}.ckpt`;
    let kills = 0;
    let reached = 0;
    while (kills < KILLS) {
      const { hash, from, to } = await run(checkpoint, 250 * random());
      expect(from).toBeGreaterThanOrEqual(reached);
      reached = to;
      if (hash === null) kills++;
      else {
        // It was quicker than the killer: the next run starts anew.
        expect(hash).toBe(whole);
        await Deno.remove(checkpoint);
        reached = 0;
      }
    }
    return await run(checkpoint);
  });
  for (const { hash } of await Promise.all(chains)) expect(hash).toBe(whole);
  await Deno.remove(folder, { recursive: true });
  // Some thirty processes, each of them a second or two on an idle machine.
}, 600_000);
