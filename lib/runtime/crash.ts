/**
 * WASM code that traps, as it does on an address outside its memory. What the module does afterwards means nothing: so it
 * is not asked again, says that it has crashed, and is replaced by a new one at the next call, with the weights of all
 * models.
 *
 * Before a trap, code may have written where it should not: a pooling of maps that are too small goes on to the end of
 * the memory. So weights are kept outside it, up to a limit, and beyond that their checksums: a damaged one is not used
 * again.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { BackendError } from "./candidate.ts";
import type { TF } from "./core/types.ts";

/** The module under tfjs's wasm backend. */
export interface Module {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(offset: number): void;
  tfjs: { registerTensor(id: number, size: number, offset: number): void; disposeData(id: number): void };
}

/** Where a tensor's data lies. */
interface Place {
  id: number;
  memoryOffset: number;
  shape: number[];
  dtype: "float32" | "int32" | "bool";
}

interface WasmBackend {
  wasm: Module;
  dataIdMap: {
    get(id: object): Place;
    has(id: object): boolean;
    set(id: object, place: Place): void;
    delete(id: object): boolean;
  };
  disposeData(id: object, force?: boolean): boolean;
}

/** A wasm backend that outlives the crashes of its modules. */
export class CrashGuard {
  /** How many bytes of weights are copied at most. */
  static mostCopied = 2 ** 28;
  readonly #backend: WasmBackend;
  /** All tensors' data: tfjs keeps none of it where it could be listed. */
  readonly #live = new Set<object>();
  /** Of weights a copy, or where there is no room for that the checksum. */
  readonly #kept = new WeakMap<object, Uint8Array | number>();
  /** What was computed on a module that crashed; weights until they are on the new one. */
  readonly #lost = new Set<object>();
  readonly #placeOf: (id: object) => Place;
  #crash?: BackendError;
  /** The module that crashed. */
  #dead?: Module;

  /** @param makeModule makes another module; @param connect what else must know of a new one */
  constructor(readonly tf: TF, readonly makeModule: () => Promise<Module>, readonly connect: () => Promise<unknown>) {
    this.#backend = tf.findBackend("wasm") as unknown as WasmBackend;
    const { dataIdMap, disposeData } = this.#backend;
    const { get, set, delete: remove } = dataIdMap;
    this.#placeOf = (id) => get.call(dataIdMap, id);
    dataIdMap.get = (id) => {
      if (!this.#lost.has(id)) return this.#placeOf(id);
      if (this.#crash) throw this.#crash;
      throw new BackendError("wasm", "it crashed, and this tensor was lost", "Compute it again: it was made anew.");
    };
    dataIdMap.set = (id, place) => {
      this.#live.add(id);
      set.call(dataIdMap, id, place);
    };
    dataIdMap.delete = (id) => {
      this.#live.delete(id);
      return remove.call(dataIdMap, id);
    };
    this.#backend.disposeData = (id, force) =>
      this.#lost.delete(id) ? dataIdMap.delete(id) : disposeData.call(this.#backend, id, force);
  }

  /** Makes all kernels say what has happened, once they are registered. */
  watchKernels(): void {
    for (const kernel of this.tf.getKernelsForBackend("wasm")) {
      const { kernelName, kernelFunc } = kernel;
      this.tf.unregisterKernel(kernelName, "wasm");
      this.tf.registerKernel({
        ...kernel,
        kernelFunc: (call) => {
          if (this.#crash) throw this.#crash;
          try {
            return kernelFunc(call);
          } catch (error) {
            if (!(error instanceof WebAssembly.RuntimeError)) throw error;
            throw this.#crashed(kernelName, error);
          }
        },
      });
    }
  }

  #crashed(kernelName: string, cause: Error): BackendError {
    const reason = `it crashed as it computed ${kernelName} (${messageOf(cause)})`;
    const crash = new BackendError("wasm", reason, "The next call makes it anew, with the weights of your models.", {
      cause,
    });
    this.#crash = crash;
    // Other computations at this time must not read what the crash may have damaged.
    for (const id of this.#live) this.#lost.add(id);
    const wasm = this.#dead = this.#backend.wasm;
    // What is disposed of on the way out of the call must not meet the next trap.
    Object.assign(wasm, {
      _free() {},
      _malloc() {
        throw crash;
      },
    });
    Object.assign(wasm.tfjs, { registerTensor() {}, disposeData() {} });
    return crash;
  }

  /**
   * Makes a crashed module anew; of one that works it notes the weights. To be called before each use.
   *
   * @throws {BackendError} once, if weights were damaged: names them. They hold NaN from then on.
   */
  async renew(): Promise<void> {
    if (!this.#crash) return this.#keepWeights();
    this.#backend.wasm = await this.makeModule();
    for (const kernel of this.tf.getKernelsForBackend("wasm")) kernel.setupFunc?.(this.#backend as never);
    await this.connect();
    const dead = this.#dead!;
    const weights = this.#weights().filter(({ id }) => this.#lost.has(id));
    const damaged = weights.filter(({ id }) =>
      typeof this.#kept.get(id) === "number" && this.#kept.get(id) !== this.#sumOf(id, dead)
    );
    const unknown = weights.filter(({ id }) => !this.#kept.has(id));
    for (const { id } of weights) this.#move(id, dead);
    this.#crash = this.#dead = undefined;
    damaged.forEach(({ id }) => this.#bytes(id).fill(255));
    const names = (weights: { name: string }[]) => weights.map(({ name }) => JSON.stringify(name)).join(", ");
    if (unknown.length) {
      console.log(
        `convlens's backend "wasm" crashed and was made anew. Whether it damaged these weights, which had changed ` +
          `since the last call, is not known: ${names(unknown)}. Load their model again to be sure.`,
      );
    }
    if (damaged.length === 0) return;
    throw new BackendError(
      "wasm",
      `as it crashed it damaged the weights ${names(damaged)}, which hold NaN now`,
      "It was made anew, and other models can be used: load the model of these weights again.",
    );
  }

  #weights(): { name: string; id: object }[] {
    const variables = Object.values(this.tf.engine().state.registeredVariables);
    return variables.map(({ name, dataId }) => ({ name, id: dataId })).filter(({ id }) => this.#live.has(id));
  }

  #keepWeights(): void {
    let copied = 0;
    for (const { id } of this.#weights()) {
      const bytes = this.#bytes(id);
      copied += bytes.length;
      if (!this.#kept.has(id)) this.#kept.set(id, copied > CrashGuard.mostCopied ? this.#sumOf(id) : bytes.slice());
    }
  }

  #bytes(id: object, { HEAPU8 } = this.#backend.wasm): Uint8Array {
    const { memoryOffset, shape, dtype } = this.#placeOf(id);
    const { util } = this.tf;
    return HEAPU8.subarray(memoryOffset, memoryOffset + util.sizeFromShape(shape) * util.bytesPerElement(dtype));
  }

  /** FNV-1a over words of four bytes, and the bytes that are left. */
  #sumOf(id: object, module?: Module): number {
    const bytes = this.#bytes(id, module);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    let sum = 0x811c9dc5;
    for (let i = 0; i < words.length; i++) sum = Math.imul(sum ^ words[i], 0x01000193);
    for (let i = words.length << 2; i < bytes.length; i++) sum = Math.imul(sum ^ bytes[i], 0x01000193);
    return sum;
  }

  /** Brings a weight to the new module: its copy, or what the one that crashed holds. */
  #move(id: object, dead: Module): void {
    const place = this.#placeOf(id);
    const kept = this.#kept.get(id);
    const bytes = kept instanceof Uint8Array ? kept : this.#bytes(id, dead);
    const { wasm } = this.#backend;
    // tfjs reads addresses as signed numbers, which those above 2 GB are not.
    place.memoryOffset = wasm._malloc(bytes.length) >>> 0;
    wasm.tfjs.registerTensor(place.id, this.tf.util.sizeFromShape(place.shape), place.memoryOffset);
    this.#bytes(id).set(bytes);
    this.#lost.delete(id);
  }
}
