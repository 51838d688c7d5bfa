/** Native TensorFlow, on the processor or on CUDA: the fastest where its library is installed. @module */

import nodeUtil from "node:util";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { BackendError, type Candidate } from "./candidate.ts";
import { makeReady, remember } from "./engine.ts";
import { messageOf } from "./message.ts";
import { selfCheck } from "./self_check.ts";

const NODE_GPU = "npm:@tensorflow/tfjs-node-gpu@4.22.0";

/** The part of tfjs-node's backend that tells where it computes. */
interface NativeBackend {
  isUsingGpuDevice: boolean;
  binding: { TF_Version: string };
}

/** The tensorflow backend of tfjs-node-gpu; without a GPU the same library computes on the processor. */
export const tensorflow: Candidate = {
  name: "tensorflow",
  async start(tf) {
    if (!findAddon()) {
      const remedy =
        `\`deno install --allow-scripts=${NODE_GPU}\` lets its install script fetch it; or use another backend.`;
      throw new BackendError("tensorflow", "native library not installed", remedy);
    }
    silenceNotes();
    restoreNodeUtil();
    // Importing the package makes its backend the active one.
    const comeBack = remember(tf);
    try {
      await import(NODE_GPU);
      await makeReady(tf, "tensorflow");
    } catch (error) {
      const remedy = "Install the native library anew, or use another backend.";
      throw new BackendError("tensorflow", `native library did not load: ${messageOf(error)}`, remedy, {
        cause: error,
      });
    } finally {
      comeBack();
    }
    const backend = tf.findBackend("tensorflow") as unknown as NativeBackend;
    return {
      device: backend.isUsingGpuDevice ? "GPU (CUDA)" : "CPU (native)",
      version: backend.binding.TF_Version,
      selfCheck: await selfCheck(tf, "tensorflow"),
    };
  },
};

/**
 * Loads the native library, if it is installed, before a graphics driver is.
 *
 * Mesa's drivers and libtensorflow each bring an LLVM. A process that loads libtensorflow 2.21 after Mesa's llvmpipe
 * dies with a segmentation fault; the other way round both work.
 */
export function loadBeforeGraphics(): void {
  const addon = findAddon();
  if (!addon) return;
  silenceNotes();
  try {
    createRequire(import.meta.url)(addon);
  } catch {
    // A library that does not load harms nobody here; asking for the backend tells what is wrong with it.
  }
}

/** The path of the package's compiled addon. Looks only on the disk: nothing is downloaded to find out. */
function findAddon(): string | undefined {
  const url = import.meta.resolve(`${NODE_GPU}/package.json`);
  // What is not in the cache resolves to itself.
  if (!url.startsWith("file:")) return undefined;
  const addon = fileURLToPath(new URL("lib/napi-v8/tfjs_binding.node", url));
  return existsSync(addon) ? addon : undefined;
}

/** Leaves out libtensorflow's notes on how it was compiled, and keeps its warnings and errors; read as it loads. */
function silenceNotes() {
  if (!Deno.env.has("TF_CPP_MIN_LOG_LEVEL")) Deno.env.set("TF_CPP_MIN_LOG_LEVEL", "1");
}

/** tfjs-node calls functions of `node:util` that Node 23 and Deno have no longer. */
function restoreNodeUtil() {
  const util = nodeUtil as unknown as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
}
