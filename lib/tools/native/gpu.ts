/**
 * `deno task gpu`: installs native TensorFlow for this user, by the package's own install or, where that cannot be
 * reached, by a build against a Python wheel of TensorFlow. See {@linkcode USAGE}.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Started } from "../../runtime/candidate.ts";
import { findAddon, type MadeFrom, NativeError, nativeFolder, NODE_GPU, RECORD } from "../../runtime/native/addon.ts";
import { build, findCompiler, findHeaders, findSources } from "./build.ts";
import { run } from "../run.ts";
import { installPackage, PACKAGE_BRINGS } from "./package_install.ts";
import { findWheel, places } from "./wheel.ts";

const USAGE = `deno task gpu                  by the package's own install, else by the first Python wheel that is found
deno task gpu --wheel [PATH]   by a Python wheel, as for a newer CUDA; PATH is a virtual environment, a
                               site-packages folder or a python command
deno task gpu --check          only reports what is there
deno task gpu --undo           removes what this task installed`;

const root = fileURLToPath(new URL("../../../", import.meta.url));
const linux = Deno.build.os === "linux";

/** An install that the user wants: in any way or by a wheel, which may be named. */
interface Install {
  do: "install";
  wheel: boolean;
  path?: string;
}

/** What the user wants. */
type Command = Install | { do: "check" } | { do: "undo" } | { do: "help" };

/**
 * Reads the command line.
 *
 * @throws {NativeError} if it makes no sense
 */
export function readCommand(args: readonly string[]): Command {
  const [first, second, ...rest] = args;
  if (first === undefined) return { do: "install", wheel: false };
  if (first === "--wheel" && !rest.length && !second?.startsWith("--")) {
    return { do: "install", wheel: true, path: second };
  }
  if (second === undefined) {
    if (first === "--check") return { do: "check" };
    if (first === "--undo") return { do: "undo" };
    if (first === "--help") return { do: "help" };
  }
  throw new NativeError(`\`deno task gpu ${args.join(" ")}\` is not known. What is:\n${USAGE}`);
}

/**
 * Fills a temporary folder, then moves it to its place: nothing half-made is ever there, and what was there before
 * stays if the new one does not work.
 *
 * @param folder the place
 * @param make fills the temporary folder
 * @param verify tries the new one at its place; throws if it does not work
 */
export async function replaceFolder<T>(
  folder: string,
  make: (temporary: string) => Promise<void>,
  verify: () => Promise<T>,
): Promise<T> {
  await Deno.mkdir(dirname(folder), { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: dirname(folder), prefix: ".making-" });
  try {
    const [fresh, former] = [join(temporary, "new"), join(temporary, "old")];
    await Deno.mkdir(fresh);
    await make(fresh);
    const replaces = existsSync(folder);
    if (replaces) await Deno.rename(folder, former);
    await Deno.rename(fresh, folder);
    try {
      return await verify();
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      if (replaces) await Deno.rename(former, folder);
      throw error;
    }
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

function row(name: string, value: string) {
  console.log(`  ${name.padEnd(9)} ${value}`);
}

function destination(): string {
  const folder = nativeFolder();
  if (folder) return folder;
  const variable = Deno.build.os === "windows" ? "LOCALAPPDATA" : "HOME";
  throw new NativeError(`The environment has no ${variable}, so there is no folder to install into. Set ${variable}.`);
}

/** The NVIDIA cards, as the driver's own tool lists them. */
async function cards(): Promise<string[]> {
  const ended = await run("nvidia-smi", ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]);
  return ended?.success ? ended.stdout.split("\n").filter(Boolean) : [];
}

async function showCards(): Promise<string[]> {
  const found = await cards();
  for (const card of found) row("GPU", card);
  if (!found.length) row("GPU", "none that nvidia-smi lists: TensorFlow will compute on the processor");
  return found;
}

/** Starts the installed addon in a process of its own, and gives what it says of itself and what it warned of. */
async function verify(signal?: AbortSignal): Promise<Started & { warnings: string }> {
  const script = fileURLToPath(new URL("verify.ts", import.meta.url));
  const ended = await run(Deno.execPath(), ["run", "-A", script], { cwd: root, signal });
  if (ended?.success) return { ...JSON.parse(ended.stdout.split("\n").at(-1)!), warnings: ended.stderr };
  throw new NativeError(
    `Native TensorFlow does not work here:\n${ended?.stderr || "its process died without a word."}`,
  );
}

function showStarted(
  { device, version, selfCheck, advice, warnings }: Started & { warnings: string },
  cards: string[],
) {
  row("computes", `TensorFlow ${version} on ${device}; ${selfCheck?.toExponential(1)} off the cpu backend`);
  if (advice) console.log(`TensorFlow ${advice}`);
  if (!cards.length || device.startsWith("GPU")) return;
  const from = findAddon()?.made?.from ?? "";
  console.log(
    "TensorFlow does not use the GPU. " +
      (from.startsWith("tensorflow-cpu")
        ? "The wheel tensorflow-cpu cannot: install 'tensorflow[and-cuda]' in its place with pip, then type: " +
          "deno task gpu --wheel"
        : from.startsWith("tensorflow")
        ? "Its CUDA libraries are missing, or the driver is too old for them. In the wheel's Python type: " +
          "pip install 'tensorflow[and-cuda]'"
        : "The package's own install needs CUDA 11.2 and cuDNN 8. For a newer CUDA: pip install " +
          "'tensorflow[and-cuda]' in a virtual environment, then type: deno task gpu --wheel PATH"),
  );
  if (warnings) console.log(warnings);
}

/** Finds all that a build needs, and reports it. */
async function findParts(path: string | undefined) {
  const wheel = await findWheel(path, places(root));
  row("wheel", `${wheel.name} ${wheel.version} in ${wheel.folder}, found by ${wheel.foundBy}`);
  const compiler = await findCompiler();
  row("compiler", compiler.version);
  const headers = await findHeaders();
  row("headers", headers.from);
  return { wheel, compiler, headers, sources: await findSources() };
}

async function makeFromWheel(folder: string, path: string | undefined, signal: AbortSignal): Promise<MadeFrom> {
  if (!linux) {
    throw new NativeError(
      `Building against a Python wheel works on Linux only, not on ${Deno.build.os}. Type: deno task gpu`,
    );
  }
  const parts = await findParts(path);
  console.log("Compiling …");
  const start = performance.now();
  const made = await build(folder, parts, signal);
  console.log(`Compiled in ${((performance.now() - start) / 1000).toFixed(1)} s.`);
  return made;
}

async function make(folder: string, command: Install, signal: AbortSignal): Promise<MadeFrom> {
  if (command.wheel) return await makeFromWheel(folder, command.path, signal);
  console.log(`Trying the package's own install: it downloads ${PACKAGE_BRINGS}, several hundred megabytes …`);
  try {
    return await installPackage(folder, signal);
  } catch (error) {
    if (signal.aborted || !linux || !(error instanceof NativeError)) throw error;
    console.log(`${error.message}\nBuilding against a Python wheel instead:`);
  }
  return await makeFromWheel(folder, undefined, signal);
}

async function install(command: Install, signal: AbortSignal): Promise<void> {
  const folder = destination();
  const found = await showCards();
  const started = await replaceFolder(folder, async (temporary) => {
    const made = await make(temporary, command, signal);
    await Deno.writeTextFile(join(temporary, RECORD), JSON.stringify(made, undefined, 2));
  }, () => verify(signal));
  row("installed", folder);
  showStarted(started, found);
  console.log("All your notebooks find it; `deno task gpu --undo` removes it.");
}

/** Reports what is there; true if native TensorFlow works. */
async function check(signal: AbortSignal): Promise<boolean> {
  const found = await showCards();
  const addon = findAddon();
  row("installed", addon ? `${addon.path}, by ${addon.made?.from ?? "the package's own install"}` : "no");
  if (addon) {
    showStarted(await verify(signal), found);
  } else if (linux) {
    await findParts(undefined);
    console.log("It can be built: type deno task gpu --wheel");
  } else {
    console.log("Type: deno task gpu");
  }
  return addon !== undefined;
}

async function undo(): Promise<void> {
  const folder = destination();
  if (existsSync(folder)) {
    await Deno.remove(folder, { recursive: true });
    console.log(`Removed ${folder}.`);
  } else {
    console.log(`There is nothing to undo: ${folder} is not there.`);
  }
  const other = findAddon();
  if (other) console.log(`${NODE_GPU} has an addon of its own, which this task did not install: ${other.path}`);
}

if (import.meta.main) {
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort(new NativeError("Stopped; nothing was changed.")));
  try {
    const command = readCommand(Deno.args);
    if (command.do === "help") console.log(USAGE);
    else if (command.do === "undo") await undo();
    else if (command.do === "check") Deno.exitCode = await check(stop.signal) ? 0 : 1;
    else await install(command, stop.signal);
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    console.error(error.message);
    Deno.exitCode = 1;
  }
  // A signal listener keeps Deno running.
  Deno.exit();
}
