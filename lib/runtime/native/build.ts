/**
 * Builds the addon from the package's C++ sources against a Python wheel of TensorFlow.
 *
 * The sources use only TensorFlow's C interface and Node's stable N-API, so those of 2024 compile against today's
 * TensorFlow, and the addon runs in Deno. The addon made here also hands over attributes that are lists, which
 * `kernels.ts` needs.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ADDON, type MadeFrom, NativeError, NODE_GPU } from "./addon.ts";
import { lastLines, run } from "./command.ts";
import type { Wheel } from "./wheel.ts";

const HEADERS = "npm:node-api-headers@1.9.0";
const SOURCES = ["tfjs_backend.cc", "tfjs_binding.cc"];

/**
 * What is compiled in front of the sources. They set attributes that are lists of words or of types as if these were
 * single words and lists of numbers; here the operation itself is asked what it takes. Words are parted by commas.
 */
const LISTS = `#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>
#include "tensorflow/c/eager/c_api.h"

// Whether an operation's attribute is a list of such values.
static inline bool TakesList(TFE_Op *op, const char *name, TF_AttrType type) {
  unsigned char is_list = 0;
  TF_Status *status = TF_NewStatus();
  const TF_AttrType wanted = TFE_OpGetAttrType(op, name, &is_list, status);
  const bool known = TF_GetCode(status) == TF_OK;
  TF_DeleteStatus(status);
  return known && is_list && wanted == type;
}

static inline void SetWords(TFE_Op *op, const char *name, const void *value, size_t length) {
  if (!TakesList(op, name, TF_ATTR_STRING)) return TFE_OpSetAttrString(op, name, value, length);
  const std::string words(static_cast<const char *>(value), length);
  std::vector<const void *> starts;
  std::vector<size_t> lengths;
  for (size_t start = 0; start < length;) {
    const size_t comma = std::min(words.find(',', start), length);
    starts.push_back(words.data() + start);
    lengths.push_back(comma - start);
    start = comma + 1;
  }
  TFE_OpSetAttrStringList(op, name, starts.data(), lengths.data(), static_cast<int>(starts.size()));
}

static inline void SetNumbers(TFE_Op *op, const char *name, const int64_t *values, int count) {
  if (!TakesList(op, name, TF_ATTR_TYPE)) return TFE_OpSetAttrIntList(op, name, values, count);
  std::vector<TF_DataType> types;
  for (int i = 0; i < count; ++i) types.push_back(static_cast<TF_DataType>(values[i]));
  TFE_OpSetAttrTypeList(op, name, types.data(), count);
}

#define TFE_OpSetAttrString SetWords
#define TFE_OpSetAttrIntList SetNumbers
`;

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
      `The package's C++ source ${source} is not in ${folder}. Get the package anew: deno cache --reload=${NODE_GPU} ` +
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
  const lists = join(folder, "lists.h");
  await Deno.writeTextFile(lists, LISTS);
  const ended = await run(compiler.command, [
    ...compiler.args,
    ...["-std=c++17", "-O2", "-fPIC", "-shared", "-DNAPI_VERSION=8"],
    ...["-I", headers.folder, "-I", join(wheel.folder, "include")],
    ...["-include", lists],
    ...SOURCES.map((source) => join(sources, source)),
    ...["-o", addon, "-L", wheel.folder, "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"],
    ...["-Xlinker", "-rpath", "-Xlinker", wheel.folder],
  ], { signal });
  await Deno.remove(lists);
  const from = `${wheel.name} ${wheel.version}`;
  if (!ended?.success) {
    throw new NativeError(
      `The addon does not compile against ${from} with ${compiler.version}:\n${lastLines(ended?.stderr ?? "")}\n` +
        "tensorflow 2.21 with g++ 12 is known to work: pip install tensorflow==2.21.0",
    );
  }
  return { way: "wheel", from, libraries: wheel.folder };
}
