/**
 * The package's own install: it downloads libtensorflow and a compiled addon from its makers' server.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ADDON, type MadeFrom, NativeError, NODE_GPU } from "../../runtime/native/addon.ts";
import { lastLines, run } from "../run.ts";

/** What the package's own install brings, by its `scripts/deps-constants.js`. */
export const PACKAGE_BRINGS = "TensorFlow 2.9.1 for CUDA 11.2";

/**
 * Runs the package's install script in a project of its own inside `folder`, and keeps what it brought.
 *
 * @throws {NativeError} if it fails, as without a network
 */
export async function installPackage(folder: string, signal?: AbortSignal): Promise<MadeFrom> {
  const stage = join(folder, "stage");
  await Deno.mkdir(stage);
  try {
    const home = await runInstall(stage, signal);
    for (const name of ["lib", "deps"]) await Deno.rename(join(home, name), join(folder, name));
  } finally {
    await Deno.remove(stage, { recursive: true });
  }
  return { way: "package", from: `the package's own install (${PACKAGE_BRINGS})` };
}

/** Runs the install script in an empty folder; returns the folder of the package, which is complete then. */
async function runInstall(stage: string, signal?: AbortSignal): Promise<string> {
  const deno = async (args: string[]) => {
    const ended = await run(Deno.execPath(), args, { cwd: stage, signal });
    if (!ended?.success) throw failure(ended?.stderr ?? "");
  };
  const config = { nodeModulesDir: "auto", imports: { "@tensorflow/tfjs-node-gpu": NODE_GPU } };
  await Deno.writeTextFile(join(stage, "deno.json"), JSON.stringify(config));
  await deno(["install"]);
  const home = join(stage, "node_modules", "@tensorflow", "tfjs-node-gpu");
  // The script writes into its package.json, which is a hard link into Deno's cache: give it a file of its own.
  const manifest = join(home, "package.json");
  const text = await Deno.readTextFile(manifest);
  await Deno.remove(manifest);
  await Deno.writeTextFile(manifest, text);
  await deno(["install", `--allow-scripts=${NODE_GPU}`]);
  if (!existsSync(join(home, ADDON))) throw failure(`error: it left no ${ADDON}`);
  return home;
}

function failure(output: string): NativeError {
  return new NativeError(`The package's own install failed: ${reasonOf(output)}`, {
    cause: new Error(lastLines(output)),
  });
}

/** The line of an install's output that says why it failed. */
function reasonOf(output: string): string {
  const lines = output.split("\n").map((line) => line.trim()).filter(Boolean);
  const reason = lines.find((line) => /Uncaught|ENOTFOUND|ECONN|ETIMEDOUT|failed with error/.test(line)) ??
    lines.find((line) => line.startsWith("error:")) ?? "it gave no reason";
  return reason.replace(/^(error: )?(Uncaught )?(\(in promise\) )?(Error: )?/, "");
}
