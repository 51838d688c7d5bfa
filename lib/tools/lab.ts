/**
 * `deno task lab`: JupyterLab on `notebooks/` with the Deno kernel, in a virtual environment of its own, `.venv/`.
 * `--prepare` only makes it ready; other arguments go to JupyterLab.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "./run.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const venv = `${root}.venv`;
const windows = Deno.build.os === "windows";
const bin = windows ? `${venv}\\Scripts\\` : `${venv}/bin/`;

const PACKAGES = ["jupyterlab==4.6.6", "nbconvert==7.17.2", "nbclient==0.11.0"];
const PYTHON = [3, 10];

/** What cannot go on, and what to do about it. */
class LabError extends Error {
  override name = "LabError";
}

/**
 * The command that starts a Python that can make virtual environments.
 *
 * @throws LabError if there is none
 */
async function findPython(): Promise<string> {
  const wanted = PYTHON.join(".");
  const found: string[] = [];
  for (const command of ["python3", "python"]) {
    const version = await run(command, ["-c", "import sys; print('%d %d' % sys.version_info[:2])"]);
    if (!version?.success) continue;
    const [major, minor] = version.stdout.split(" ").map(Number);
    if (major !== PYTHON[0] || minor < PYTHON[1]) {
      found.push(`${command} is Python ${major}.${minor}`);
      continue;
    }
    if ((await run(command, ["-c", "import venv, ensurepip"]))?.success) return command;
    throw new LabError(
      `JupyterLab needs Python's modules venv and ensurepip, and ${command} (Python ${major}.${minor}) has not both. ` +
        `On Debian and Ubuntu type: sudo apt install python${major}.${minor}-venv`,
    );
  }
  throw new LabError(
    `JupyterLab needs Python ${wanted} or newer; ${found.length ? found.join(", ") : "no python3 was found"}. ` +
      "On Debian and Ubuntu type: sudo apt install python3 python3-venv. On macOS: brew install python3. " +
      "Elsewhere get it from https://www.python.org/downloads/.",
  );
}

/**
 * Makes `.venv/` with JupyterLab in it, unless it is there. A half-made one is not left behind.
 *
 * @throws LabError if something is missing
 */
async function prepare(signal: AbortSignal): Promise<void> {
  const stamp = `${venv}/convlens.txt`;
  const complete = PACKAGES.join("\n");
  const found = existsSync(stamp) ? await Deno.readTextFile(stamp) : undefined;
  if (found !== complete) {
    if (found !== undefined) {
      await Deno.remove(venv, { recursive: true });
    } else if (await run(`${bin}python`, ["--version"])) {
      throw new LabError(`${venv} is there already and was not made by this task. Move it away or delete it.`);
    }
    const python = await findPython();
    console.log(`Making .venv with ${PACKAGES.join(", ")} (once; about 250 MB on disk)`);
    const start = performance.now();
    await Deno.mkdir(venv, { recursive: true });
    try {
      await Deno.writeTextFile(stamp, "unfinished");
      await step(signal, "The virtual environment could not be made", python, ["-m", "venv", venv]);
      const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", ...PACKAGES];
      await step(signal, "pip could not install JupyterLab; it needs a network the first time", `${bin}python`, pip);
      await Deno.writeTextFile(stamp, complete);
    } catch (error) {
      await Deno.remove(venv, { recursive: true });
      throw error;
    }
    console.log(`Ready after ${((performance.now() - start) / 1000).toFixed(0)} s.`);
  }
  await configure();
}

/** Runs one step of the preparation. @throws LabError with `problem` if it fails */
async function step(signal: AbortSignal, problem: string, command: string, args: string[]): Promise<void> {
  const ended = await run(command, args, { signal });
  if (!ended?.success) throw new LabError(`${problem}:\n${ended?.stderr ?? `${command} does not run.`}`);
}

/** Registers this Deno as a kernel, and keeps JupyterLab from looking for news and updates. */
async function configure(): Promise<void> {
  const share = `${venv}/share/jupyter`;
  const kernel = {
    argv: [Deno.execPath(), "jupyter", "--kernel", "--conn", "{connection_file}"],
    display_name: "Deno",
    language: "typescript",
  };
  const settings = { "@jupyterlab/apputils-extension:notification": { fetchNews: "false", checkForUpdates: false } };
  await Deno.mkdir(`${share}/kernels/deno`, { recursive: true });
  await Deno.writeTextFile(`${share}/kernels/deno/kernel.json`, JSON.stringify(kernel, undefined, 2));
  await Deno.mkdir(`${share}/lab/settings`, { recursive: true });
  await Deno.writeTextFile(`${share}/lab/settings/overrides.json`, JSON.stringify(settings, undefined, 2));
}

/** Runs JupyterLab until it ends, and returns its exit code. */
async function lab(args: string[]): Promise<number> {
  const asRoot = !windows && Deno.uid() === 0 ? ["--allow-root"] : [];
  const process = new Deno.Command(`${bin}jupyter-lab`, {
    args: [...asRoot, ...args],
    cwd: `${root}notebooks`,
    env: { JUPYTER_PREFER_ENV_PATH: "1" },
  }).spawn();
  if (!windows) Deno.addSignalListener("SIGTERM", () => process.kill("SIGTERM"));
  return (await process.status).code;
}

const stop = new AbortController();
// Ctrl+C reaches JupyterLab too, which asks what to do.
Deno.addSignalListener("SIGINT", () => stop.abort(new LabError("Stopped.")));
try {
  await prepare(stop.signal);
  if (Deno.args.includes("--prepare")) console.log(`JupyterLab is ready in ${venv}.`);
  else Deno.exitCode = await lab(Deno.args);
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  console.error(error.message);
  Deno.exitCode = 1;
}
Deno.exit();
