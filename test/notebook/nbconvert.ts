/** The virtual environment that `deno task lab --prepare` makes, for the tests that need it. */

import { fileURLToPath } from "node:url";
import { skipFor } from "../long.ts";

/** The project's folder, with a slash at its end. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

const nbconvert = `${root}.venv/bin/jupyter-nbconvert`;

/**
 * Whether the virtual environment is there; the tests that need it are left out otherwise.
 *
 * @throws Error if it is not, where all tests are asked for
 */
export async function labIsReady(): Promise<boolean> {
  try {
    await Deno.stat(nbconvert);
    return true;
  } catch {
    skipFor("there is no .venv with JupyterLab. Make it with: deno task lab --prepare");
    return false;
  }
}

/** Runs nbconvert. */
export async function convert(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(nbconvert, {
    args,
    env: { JUPYTER_PREFER_ENV_PATH: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`nbconvert failed:\n${new TextDecoder().decode(stderr)}`);
}
