/**
 * Finds the Python wheel of TensorFlow: its shared libraries and C headers are what the addon is built against.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { NativeError } from "../../runtime/native/addon.ts";
import { run } from "../run.ts";

/** An installed wheel that the addon can be built against. */
export interface Wheel {
  /** Its folder `tensorflow`, with the shared libraries and `include`. */
  folder: string;
  /** The name it was installed by, as `tensorflow-cpu`. */
  name: string;
  version: string;
  /** How it was found, as `the active virtual environment`. */
  foundBy: string;
}

/** Where to look for a wheel that the user did not name, in this order. */
export interface Places {
  /** The folder that a path which the user names starts from. */
  base: string;
  /** Folders of virtual environments, with how they are called in messages. */
  environments: readonly { folder: string | undefined; name: string }[];
  /** Python commands. */
  pythons: readonly string[];
}

/** What the addon needs of a wheel. */
const LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
const HEADERS = ["c/c_api.h", "c/eager/c_api.h", "core/platform/ctstring_internal.h"]
  .map((name) => `include/tensorflow/${name}`);

/** The names that TensorFlow itself is published by; its add-ons share the first word. */
const NAMES = ["tensorflow", "tensorflow_cpu", "tensorflow_cpu_aws", "tensorflow_rocm", "tf_nightly", "tf_nightly_cpu"];

/** What to type to get a wheel. */
const GET_ONE = [
  "  python3 -m venv ~/tensorflow-venv",
  "  ~/tensorflow-venv/bin/pip install 'tensorflow[and-cuda]'    # with an NVIDIA GPU; without one: tensorflow-cpu",
  "  deno task gpu --wheel ~/tensorflow-venv",
].join("\n");

/** The places of this machine. */
export function places(root: string): Places {
  // A task runs in the project's folder; this is where the user typed it.
  const base = Deno.env.get("INIT_CWD") ?? Deno.cwd();
  const own = resolve(root, ".venv");
  const here = resolve(base, ".venv");
  return {
    base,
    environments: [
      { folder: Deno.env.get("VIRTUAL_ENV"), name: "the active virtual environment" },
      { folder: Deno.env.get("CONDA_PREFIX"), name: "the active conda environment" },
      { folder: here, name: "this folder's .venv" },
      ...here === own ? [] : [{ folder: own, name: "convlens's .venv" }],
    ],
    pythons: ["python3", "python"],
  };
}

/**
 * The wheel that the user named, or the first that is found.
 *
 * @param named a virtual environment, a site-packages folder, the folder `tensorflow` in it, or a python command
 * @throws {NativeError} if there is none, or the named one cannot be used
 */
export async function findWheel(named: string | undefined, { base, environments, pythons }: Places): Promise<Wheel> {
  if (named !== undefined) return await readWheel(await locate(named, base), `--wheel ${named}`);
  const misses: string[] = [];
  const seen = new Set<string>();
  const consider = async (folder: string | undefined, foundBy: string) => {
    if (folder === undefined) {
      misses.push(`${foundBy} has no tensorflow`);
    } else if (!seen.has(folder)) {
      seen.add(folder);
      try {
        return await readWheel(folder, foundBy);
      } catch (error) {
        if (!(error instanceof NativeError)) throw error;
        misses.push(error.message);
      }
    }
  };
  for (const { folder, name } of environments) {
    if (!folder || !await exists(folder)) continue;
    const wheel = await consider(await inEnvironment(folder), `${name} (${folder})`);
    if (wheel) return wheel;
  }
  for (const command of pythons) {
    const answer = await askPython(command);
    if (answer === undefined) misses.push(`${command} was not found or does not run`);
    const wheel = answer && await consider(answer.folder, command);
    if (wheel) return wheel;
  }
  throw new NativeError(
    `No Python wheel of TensorFlow was found:\n${misses.map((miss) => `  - ${miss}`).join("\n")}\n` +
      `Get one, and name it:\n${GET_ONE}`,
  );
}

/** The folder `tensorflow` that a user's path leads to. */
async function locate(named: string, base: string): Promise<string> {
  const path = resolve(base, named);
  const info = await stat(path);
  if (info?.isDirectory) {
    if (basename(path) === "tensorflow" && await exists(join(path, "include"))) return path;
    if (await exists(join(path, "tensorflow"))) return join(path, "tensorflow");
    const folder = await inEnvironment(path);
    if (folder) return folder;
    const pip = join(path, "bin", "pip");
    throw new NativeError(
      `There is no tensorflow in ${path}. ` +
        (await exists(pip)
          ? `Type: ${pip} install 'tensorflow[and-cuda]' (without an NVIDIA GPU: tensorflow-cpu).`
          : "It has to be a virtual environment, a site-packages folder or a python command. To make one, type:\n" +
            GET_ONE),
    );
  }
  const command = info ? path : named;
  const answer = await askPython(command);
  if (!answer) {
    throw new NativeError(
      `${named} is neither a folder nor a python command that runs. Name a virtual environment, a site-packages ` +
        "folder or a python command.",
    );
  }
  if (!answer.folder) {
    throw new NativeError(
      `${named} has no tensorflow. ` +
        `Type: ${named} -m pip install 'tensorflow[and-cuda]' (without an NVIDIA GPU: tensorflow-cpu).`,
    );
  }
  return answer.folder;
}

/**
 * Reads which wheel is in a folder `tensorflow`.
 *
 * @throws {NativeError} if it has not what the addon needs
 */
async function readWheel(folder: string, foundBy: string): Promise<Wheel> {
  const installed = await installedAs(dirname(folder));
  const called = installed ? `${installed.name} ${installed.version}` : "what is called tensorflow";
  for (const file of [...LIBRARIES, ...HEADERS]) {
    if (await exists(join(folder, file))) continue;
    throw new NativeError(
      `${called} in ${folder} has no ${file}: it is too old, or not a wheel from pip. ` +
        "Type: pip install --upgrade tensorflow (in that Python; 2.21 is known to work)",
    );
  }
  if (!installed) {
    throw new NativeError(
      `${folder} has no version: no ${NAMES[0]}-*.dist-info is beside it. Install it with pip.`,
    );
  }
  return { folder, ...installed, foundBy };
}

/** The name and version of the TensorFlow that pip installed into a site-packages folder. */
async function installedAs(sitePackages: string): Promise<{ name: string; version: string } | undefined> {
  const found = new Map<string, string>();
  for await (const { name } of Deno.readDir(sitePackages)) {
    const [, project, version] = name.match(/^(\w+)-(\d[^-]*)\.dist-info$/) ?? [];
    if (project) found.set(project.toLowerCase(), version);
  }
  const name = NAMES.find((name) => found.has(name));
  return name && { name: name.replaceAll("_", "-"), version: found.get(name)! } || undefined;
}

/** The folder `tensorflow` of a virtual environment. */
async function inEnvironment(environment: string): Promise<string | undefined> {
  const lib = join(environment, "lib");
  if (!await exists(lib)) return undefined;
  for await (const { name } of Deno.readDir(lib)) {
    const folder = join(lib, name, "site-packages", "tensorflow");
    if (/^python3\.\d+$/.test(name) && await exists(folder)) return folder;
  }
}

/**
 * Asks a Python where its tensorflow is, without importing it (which would take seconds).
 *
 * @returns undefined if the Python does not run; no folder if it has no tensorflow
 */
async function askPython(command: string): Promise<{ folder?: string } | undefined> {
  const code = [
    "import sys, importlib.util",
    // Not the folder that the task runs in.
    "sys.path = [path for path in sys.path if path]",
    "spec = importlib.util.find_spec('tensorflow')",
    "print(list(spec.submodule_search_locations)[0] if spec else '')",
  ].join("\n");
  const ended = await run(command, ["-c", code]);
  if (!ended?.success) return undefined;
  return ended.stdout ? { folder: ended.stdout } : {};
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path) !== undefined;
}
