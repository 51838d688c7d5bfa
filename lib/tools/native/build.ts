/**
 * Builds the addon from the package's C++ sources against a Python wheel of TensorFlow.
 *
 * The sources use only TensorFlow's C interface and Node's stable N-API, so those of 2024 compile against today's
 * TensorFlow, and the addon runs in Deno. The addon made here also hands over attributes that are lists and brings
 * operations of our own (`addon/`), which `kernels.ts` uses.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ADDON, type MadeFrom, NativeError, NODE_GPU } from "../../runtime/native/addon.ts";
import { lastLines, run } from "../run.ts";
import type { Wheel } from "./wheel.ts";

const HEADERS = "npm:node-api-headers@1.9.0";
const SOURCES = ["tfjs_backend.cc", "tfjs_binding.cc"];

/** convlens's own C++: operations that are faster than TensorFlow's, and `lists.h`, compiled in front of the sources. */
const OWN = fileURLToPath(new URL("../../runtime/native/addon", import.meta.url));

/** Kinds of processors that the operations' arithmetic is compiled for; the addon takes the best that it runs on. */
const KINDS = Deno.build.arch !== "x86_64" ? [] : [
  ["avx512", "-DLANES=16", "-DROWS=12", "-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx512cd", "-mfma"],
  ["avx2", "-DLANES=8", "-DROWS=6", "-mavx2", "-mfma", "-mbmi2"],
];

/** A C++ compiler that runs. */
export interface Compiler {
  command: string;
  args: string[];
  /** How it calls itself. */
  version: string;
}

/**
 * The C++ compiler: the one that `CXX` names, else the first that is installed.
 *
 * @throws {NativeError} if there is none
 */
export async function findCompiler(
  named: string | undefined = Deno.env.get("CXX"),
  commands: readonly string[] = ["g++", "clang++", "c++"],
): Promise<Compiler> {
  for (const words of named ? [named.trim().split(/\s+/)] : commands.map((command) => [command])) {
    const [command, ...args] = words;
    const ended = await run(command, [...args, "--version"]);
    if (ended?.success) return { command, args, version: ended.stdout.split("\n")[0] };
  }
  throw new NativeError(
    named
      ? `CXX names the compiler ${JSON.stringify(named)}, which does not run. Correct it, or unset it: unset CXX`
      : `No C++ compiler was found (${commands.join(", ")}). Type one of:\n` +
        "  sudo apt install g++          # Debian, Ubuntu\n" +
        "  sudo dnf install gcc-c++      # Fedora, Red Hat\n" +
        "  sudo pacman -S gcc            # Arch",
  );
}

/** The folder with Node's C headers, and where it comes from. */
export interface Headers {
  folder: string;
  from: string;
}

/**
 * The C headers of N-API: from npm, else those of an installed Node.
 *
 * @param fetched gives the folder of the npm package, downloaded if need be; throws if it cannot
 * @throws {NativeError} if there are none
 */
export async function findHeaders(
  fetched: () => Promise<string> = fetchHeaders,
  nodes: readonly string[] = ["node"],
): Promise<Headers> {
  const misses: string[] = [];
  try {
    const folder = await fetched();
    if (existsSync(join(folder, "node_api.h"))) return { folder, from: HEADERS };
    misses.push(`${HEADERS} has no node_api.h in ${folder}`);
  } catch (error) {
    misses.push(`${HEADERS}: ${error instanceof Error ? error.message : error}`);
  }
  for (const command of nodes) {
    const ended = await run(command, ["-p", "require('fs').realpathSync(process.execPath)"]);
    if (!ended?.success) {
      misses.push(`${command} was not found or does not run`);
      continue;
    }
    const folder = join(dirname(ended.stdout), "..", "include", "node");
    if (existsSync(join(folder, "node_api.h"))) return { folder, from: `Node (${ended.stdout})` };
    misses.push(`${command}: there is no node_api.h in ${folder}`);
  }
  throw new NativeError(
    `Node's C headers were not found:\n${misses.map((miss) => `  - ${miss}`).join("\n")}\n` +
      `With a network, type: deno cache ${HEADERS}\n` +
      "Without one, install Node from https://nodejs.org/en/download, whose archive brings them.",
  );
}

async function fetchHeaders(): Promise<string> {
  await import(`${HEADERS}/package.json`, { with: { type: "json" } });
  return fileURLToPath(new URL("include", import.meta.resolve(`${HEADERS}/package.json`)));
}

/**
 * The folder with the addon's C++ sources, in the package; downloads the package if need be.
 *
 * @param folder @default the package's `binding`
 * @throws {NativeError} if they are not there
 */
export async function findSources(folder?: string): Promise<string> {
  folder ??= await fetchSources();
  for (const source of SOURCES) {
    if (existsSync(join(folder, source))) continue;
    throw new NativeError(
      `The package's C++ source ${source} is not in ${folder}. Get the package again: deno cache --reload=${NODE_GPU} ` +
        `${NODE_GPU} (in a folder with node_modules, remove that first)`,
    );
  }
  return folder;
}

async function fetchSources(): Promise<string> {
  try {
    await import(`${NODE_GPU}/package.json`, { with: { type: "json" } });
  } catch (error) {
    throw new NativeError(
      `${NODE_GPU} could not be loaded: ${error instanceof Error ? error.message : error}. Its first use needs a ` +
        "network; from then on it is in Deno's cache.",
      { cause: error },
    );
  }
  return fileURLToPath(new URL("binding", import.meta.resolve(`${NODE_GPU}/package.json`)));
}

/** What a build needs. */
export interface Parts {
  wheel: Wheel;
  compiler: Compiler;
  headers: Headers;
  /** The folder of the C++ sources. */
  sources: string;
}

/**
 * Compiles the addon into a folder. It finds the wheel's libraries where they are now: the wheel has to stay there.
 *
 * @throws {NativeError} if it does not compile, with the compiler's last lines
 */
export async function build(
  folder: string,
  { wheel, compiler, headers, sources }: Parts,
  signal?: AbortSignal,
): Promise<MadeFrom> {
  const addon = join(folder, ADDON);
  await Deno.mkdir(dirname(addon), { recursive: true });
  const from = `${wheel.name} ${wheel.version}`;
  const compile = async (...args: string[]) => {
    const ended = await run(compiler.command, [...compiler.args, "-std=c++17", "-fPIC", ...args], { signal });
    if (ended?.success) return;
    throw new NativeError(
      `The addon does not compile against ${from} with ${compiler.version}:\n${lastLines(ended?.stderr ?? "")}\n` +
        "tensorflow 2.21 with g++ 12 is known to work: pip install tensorflow==2.21.0",
    );
  };
  const compiled = join(folder, "compiled");
  await Deno.mkdir(compiled);
  const objects: string[] = [];
  for (const [kind, ...args] of KINDS) {
    const object = join(compiled, `${kind}.o`);
    await compile("-O3", ...args, `-DKIND=${kind}`, "-c", join(OWN, "arithmetic.cc"), "-o", object);
    objects.push(object);
  }
  await compile(
    ...["-O2", "-shared", "-pthread", "-DNAPI_VERSION=8"],
    ...["-I", headers.folder, "-I", join(wheel.folder, "include")],
    ...["-include", join(OWN, "lists.h")],
    ...SOURCES.map((source) => join(sources, source)),
    ...[join(OWN, "operations.cc"), ...objects],
    ...["-o", addon, "-L", wheel.folder, "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"],
    ...["-Xlinker", "-rpath", "-Xlinker", wheel.folder],
  );
  await Deno.remove(compiled, { recursive: true });
  return { way: "wheel", from, libraries: wheel.folder };
}
