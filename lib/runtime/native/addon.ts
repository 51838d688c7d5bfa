/**
 * Where the compiled addon of native TensorFlow lies: one for each user, outside of every cache.
 *
 * A project's `node_modules/` is made anew by package managers, and Deno's global cache belongs to every program on
 * the machine, so the addon is in neither. In the user's data folder all of the user's notebooks find it, those
 * in convlens's folder and those elsewhere, and nobody else's program does.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package that brings the addon's sources and the TypeScript side of native TensorFlow. */
export const NODE_GPU = "npm:@tensorflow/tfjs-node-gpu@4.22.0";

/** What an installed addon was made from; written beside it as `made.json`. */
export interface MadeFrom {
  /** The package's own install, or a build against a Python wheel. */
  way: "package" | "wheel";
  /** What it was made from in words, as `tensorflow-cpu 2.21.0`. */
  from: string;
  /** The folder whose libraries it loads, where that is not its own. */
  libraries?: string;
}

/** Where the addon is in its folder: the package's own layout, because its libraries are found relative to it. */
export const ADDON = join("lib", "napi-v8", "tfjs_binding.node");
/** Where its {@linkcode MadeFrom} is. */
export const RECORD = "made.json";

/**
 * The folder of this user's addon, whether or not it is there; undefined if the user has no home.
 * It names system and processor, because machines may share a home.
 */
export function nativeFolder(): string | undefined {
  const { os, arch } = Deno.build;
  const home = Deno.env.get(os === "windows" ? "LOCALAPPDATA" : "HOME");
  const data = os === "windows"
    ? home
    : os === "darwin"
    ? home && join(home, "Library", "Application Support")
    : Deno.env.get("XDG_DATA_HOME") || (home && join(home, ".local", "share"));
  return data && join(data, "convlens", `${NODE_GPU.slice(NODE_GPU.indexOf("/") + 1).replace("@", "-")}-${os}-${arch}`);
}

/** An addon that is installed. */
export interface Addon {
  path: string;
  /** What it was made from; undefined for one that `deno install --allow-scripts` left in the package itself. */
  made?: MadeFrom;
}

/** The installed addon. Looks only on the disk: nothing is downloaded to find out. */
export function findAddon(): Addon | undefined {
  const folder = nativeFolder();
  if (folder && existsSync(join(folder, ADDON))) {
    return { path: join(folder, ADDON), made: JSON.parse(readFileSync(join(folder, RECORD), "utf8")) };
  }
  const url = import.meta.resolve(`${NODE_GPU}/package.json`);
  // What is not in the cache resolves to itself.
  if (!url.startsWith("file:")) return undefined;
  const path = fileURLToPath(new URL(ADDON.replaceAll("\\", "/"), url));
  return existsSync(path) ? { path } : undefined;
}

/** Something that native TensorFlow needs is missing or does not work; the message says what to type. */
export class NativeError extends Error {
  override name = "NativeError";
}
