/** WebGPU arithmetic, by Deno's own `navigator.gpu`. @module */

import { BackendError, type Candidate } from "./candidate.ts";
import { allowEmptyMaps } from "./empty_maps.ts";
import { makeReady } from "./core/engine.ts";
import { guardWebgpu } from "./core/memory.ts";
import { padAndReverseAnyRank } from "./high_ranks.ts";
import { messageOf } from "../errors.ts";
import { selfCheck } from "./self_check.ts";
import { loadBeforeGraphics } from "./tensorflow.ts";

const WEBGPU = "npm:@tensorflow/tfjs-backend-webgpu@4.22.0";

/** What a WebGPU adapter says of itself; Deno gives vendor and device as decimal PCI numbers. */
export interface AdapterInfo {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  /** Whether the platform itself calls the adapter a slow substitute. */
  isFallbackAdapter?: boolean;
}

/** Drivers that compute on the processor: Mesa's llvmpipe and lavapipe, Google's SwiftShader, Microsoft's WARP. */
const SOFTWARE = /llvmpipe|lavapipe|softpipe|swiftshader|basic render|\bwarp\b|software/i;

/** Whether an adapter only imitates a graphics card on the processor. */
export function isSoftwareAdapter(info: AdapterInfo): boolean {
  return info.isFallbackAdapter === true ||
    SOFTWARE.test([info.vendor, info.architecture, info.device, info.description].join(" "));
}

/** The webgpu backend. `auto` takes it on a real graphics card only. */
export const webgpu: Candidate = {
  name: "webgpu",

  async onlyByName() {
    const adapter = await findAdapter();
    return adapter && isSoftwareAdapter(adapter.info) ? `software (${nameOf(adapter)}), only by name` : undefined;
  },

  async start(tf) {
    const adapter = await findAdapter();
    if (!adapter) throw noAdapter();
    try {
      await import(WEBGPU);
      await makeReady(tf, "webgpu");
    } catch (error) {
      const remedy = "Update Deno and the graphics driver, or use another backend.";
      throw new BackendError("webgpu", messageOf(error), remedy, { cause: error });
    }
    guardWebgpu(tf);
    padAndReverseAnyRank(tf);
    allowEmptyMaps(tf, "webgpu");
    explainSyncReads(tf.findBackend("webgpu"));
    return {
      device: nameOf(adapter),
      version: WEBGPU.slice(WEBGPU.lastIndexOf("@") + 1),
      selfCheck: await selfCheck(tf, "webgpu"),
    };
  },
};

/** A device for kernels that do not belong to tfjs. */
export interface GraphicsDevice {
  /** With all the room that its adapter gives. Whoever asked for it destroys it. */
  device: GPUDevice;
  /** That of the graphics card. */
  name: string;
}

/**
 * Asks for a device of its own, beside that of the backend.
 *
 * @param options.software whether a driver that only imitates a graphics card on the processor will do @default false
 * @throws {BackendError} if there is none: says why
 */
export async function graphicsDevice({ software = false } = {}): Promise<GraphicsDevice> {
  const adapter = await findAdapter();
  if (!adapter) throw noAdapter();
  if (!software && isSoftwareAdapter(adapter.info)) {
    throw new BackendError("webgpu", `software (${nameOf(adapter)})`, "Ask for it by name to use it all the same.");
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  try {
    const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
    return { device, name: nameOf(adapter) };
  } catch (error) {
    const remedy = "Update Deno and the graphics driver, or compute on the processor.";
    throw new BackendError("webgpu", messageOf(error), remedy, { cause: error });
  }
}

function noAdapter(): BackendError {
  const reason = navigator.gpu ? "no adapter" : "this Deno has no WebGPU";
  return new BackendError("webgpu", reason, "Install a Vulkan, Metal or DirectX 12 driver, or use another backend.");
}

/** The adapter that tfjs will be given: it asks with the same options. */
async function findAdapter(): Promise<GPUAdapter | null> {
  loadBeforeGraphics();
  return await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" }) ?? null;
}

function nameOf({ info }: GPUAdapter): string {
  return info.description || `vendor ${info.vendor}, device ${info.device}`;
}

/** tfjs reads synchronously through a 2d canvas, which Deno has not: it fails on a null, which says nothing to a user. */
function explainSyncReads(backend: { readSync(id: object): unknown }) {
  const readSync = backend.readSync.bind(backend);
  backend.readSync = (id) => {
    try {
      return readSync(id);
    } catch (error) {
      const reason = "Deno cannot read a tensor back from WebGPU synchronously";
      const remedy = "Await its data() instead of dataSync(); before you switch to another backend, await the data() " +
        "of each tensor that you go on using (the weights of layers models are carried over without that).";
      throw new BackendError("webgpu", reason, remedy, { cause: error });
    }
  };
}
