/**
 * Work on its way to a graphics card, in portions: between two of them the work can be ended, and no driver takes a card
 * for hung.
 *
 * @module
 */

/** One run of a kernel. */
export interface Dispatch {
  pipeline: GPUComputePipeline;
  bindings: GPUBindGroup;
  groups: [x: number, y?: number];
  /** How long it takes, in whatever unit. */
  cost: number;
}

/** Dispatches on their way to the card: they are submitted in portions, of which two at most are under way. */
export class GpuWork {
  readonly #device: GPUDevice;
  readonly #portion: number;
  readonly #lost: Promise<never>;
  #encoder?: GPUCommandEncoder;
  #pass?: GPUComputePassEncoder;
  #cost = 0;
  #earlier: Promise<unknown> = Promise.resolve();

  /** @param portion how much may be submitted at once, in the unit of the dispatches */
  constructor(device: GPUDevice, portion: number) {
    this.#device = device;
    this.#portion = portion;
    this.#lost = device.lost.then(({ message }) => {
      throw new Error(message);
    });
    // Whoever waits hears of it.
    this.#lost.catch(() => {});
  }

  /** Waits for the card, which may fail meanwhile. */
  async #wait(work: Promise<unknown>): Promise<void> {
    try {
      await Promise.race([work, this.#lost]);
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause);
      throw new Error(
        `The graphics card failed on the way (${said}). Call again, or with engine: "wasm": then the processor computes.`,
        { cause },
      );
    }
  }

  /** Puts one more run of a kernel behind the others. */
  async dispatch({ pipeline, bindings, groups, cost }: Dispatch): Promise<void> {
    if (this.#cost > 0 && this.#cost + cost > this.#portion) await this.submit();
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, bindings);
    this.#pass.dispatchWorkgroups(...groups);
    this.#cost += cost;
  }

  /** Submits what there is, and waits for what was submitted before. */
  async submit(): Promise<void> {
    if (!this.#encoder) return;
    this.#pass?.end();
    this.#device.queue.submit([this.#encoder.finish()]);
    this.#encoder = this.#pass = undefined;
    this.#cost = 0;
    const earlier = this.#earlier;
    this.#earlier = this.#device.queue.onSubmittedWorkDone();
    await this.#wait(earlier);
  }

  /** Reads from the start of some buffers what they hold after all that was dispatched. */
  async read(sources: readonly { from: GPUBuffer; bytes: number }[], through: GPUBuffer): Promise<ArrayBuffer> {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass?.end();
    this.#pass = undefined;
    let at = 0;
    for (const { from, bytes } of sources) {
      this.#encoder.copyBufferToBuffer(from, 0, through, at, bytes);
      at += bytes;
    }
    await this.submit();
    await this.#wait(through.mapAsync(GPUMapMode.READ));
    const copy = through.getMappedRange(0, at).slice(0);
    through.unmap();
    return copy;
  }
}
