/** Native TensorFlow, on the processor or on CUDA: the fastest where its library is installed. @module */

import nodeUtil from "node:util";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { BackendError, type Candidate } from "./candidate.ts";
import { allowEmptyMaps } from "./empty_maps.ts";
import { makeReady } from "./core/engine.ts";
import { messageOf } from "../errors.ts";
import { type Addon, findAddon, NODE_GPU } from "./native/addon.ts";
import { useFasterKernels } from "./native/kernels.ts";
import { selfCheck } from "./self_check.ts";
import type { TF } from "./core/types.ts";

/** What the compiled addon says of itself; the rest is between it and the backend. */
interface Binding {
  TF_Version: string;
}

/** The part of tfjs-node's backend that says where it computes. */
type NativeBackend = ReturnType<TF["findBackend"]> & { isUsingGpuDevice: boolean; binding: Binding };

/** Shown where the addon is the package's own, or one that an older convlens built. */
const ADVICE = "computes slower than it could, because its addon lacks operations that convlens builds into its own. " +
  "`deno task gpu --wheel` in convlens's folder builds that.";

/** What libtensorflow reads from the environment as it loads, where the user has set nothing. */
const SETTINGS = [
  // Its notes on how it was compiled are left out, its warnings and errors kept.
  ["TF_CPP_MIN_LOG_LEVEL", "1"],
  // It takes a GPU's memory as it needs it, so that other notebooks can compute on the same card.
  ["TF_FORCE_GPU_ALLOW_GROWTH", "true"],
  // Left alone, it uses oneDNN only on processors with AVX-512 or AMX, and cannot dilate depthwise or 3-D convolutions
  // on the others.
  ["TF_ENABLE_ONEDNN_OPTS", "1"],
  // The thread that asks for an operation of oneDNN's works, too, rather than sleep until the others are done.
  ["TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD", "1"],
];

/** The tensorflow backend of tfjs-node-gpu; without a GPU the same library computes on the processor. */
export const tensorflow: Candidate = {
  name: "tensorflow",
  async start(tf) {
    let upToDate = true;
    const addon = findAddon();
    if (!addon) {
      throw new BackendError(
        "tensorflow",
        "native library not installed",
        "`deno task gpu` in convlens's folder installs it for all your notebooks; or use another backend.",
      );
    }
    try {
      const binding = loadBinding(addon);
      restoreNodeUtil();
      // Not the package itself: that looks for its addon in its own folder only, and becomes the active backend.
      await import(`${NODE_GPU}/dist/register_all_kernels.js`);
      const { NodeJSKernelBackend } = (await import(`${NODE_GPU}/dist/nodejs_kernel_backend.js`)).default as {
        NodeJSKernelBackend: new (binding: Binding, packageName: string) => NativeBackend;
      };
      tf.registerBackend("tensorflow", () => new NodeJSKernelBackend(binding, "@tensorflow/tfjs-node-gpu"));
      await makeReady(tf, "tensorflow");
      upToDate = useFasterKernels(tf);
      allowEmptyMaps(tf, "tensorflow");
    } catch (error) {
      throw new BackendError("tensorflow", `native library did not load: ${messageOf(error)}`, remedyFor(addon), {
        cause: error,
      });
    }
    const backend = tf.findBackend("tensorflow") as NativeBackend;
    return {
      device: backend.isUsingGpuDevice ? "GPU (CUDA)" : "CPU (native)",
      version: backend.binding.TF_Version,
      selfCheck: await selfCheck(tf, "tensorflow"),
      ...(!upToDate && Deno.build.os === "linux" && { advice: ADVICE }),
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
  try {
    loadBinding(addon);
  } catch {
    // A library that does not load harms nobody here; asking for the backend says what is wrong with it.
  }
}

/** Loads the addon and, with it, libtensorflow; the second time it is there already. */
function loadBinding({ path }: Addon): Binding {
  for (const [name, value] of SETTINGS) if (!Deno.env.has(name)) Deno.env.set(name, value);
  return createRequire(import.meta.url)(path);
}

function remedyFor({ made }: Addon): string {
  if (made?.libraries && !existsSync(made.libraries)) {
    return `It was built against ${made.from} in ${made.libraries}, which is gone. Build it anew with ` +
      "`deno task gpu --wheel`, or use another backend.";
  }
  return "Install it anew with `deno task gpu`, or use another backend.";
}

/** tfjs-node calls functions of `node:util` that Node 23 and Deno have no longer. */
function restoreNodeUtil() {
  const util = nodeUtil as unknown as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
}
