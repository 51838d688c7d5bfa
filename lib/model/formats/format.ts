/**
 * What a reader of a file format of models is, and the error of what cannot be read.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";

/** A model that cannot be read, with the reason and the remedy. */
export class ModelError extends Error {
  /** `"ModelError"` */
  override name = "ModelError";
}

/** Reads one file format. */
export interface ModelFormat {
  /** Whether a file may be of this format, by the path in its address. */
  fits(path: string): boolean;
  /**
   * Reads a file and builds its network.
   *
   * @throws {ModelError} if a file is missing or damaged
   * @throws {MemoryError} if the network does not fit into the backend's memory
   */
  read(tf: TF, url: URL): Promise<LayersModel>;
}
