/**
 * Starts native TensorFlow in this process and prints, as one line of JSON, what it says of itself.
 * A process of its own, because a library that does not fit can end the process that loads it.
 *
 * @module
 */

import { BackendError } from "../../runtime/candidate.ts";
import { tensorflow } from "../../runtime/tensorflow.ts";
import { tf } from "../../runtime/tfjs.ts";

try {
  console.log(JSON.stringify(await tensorflow.start(await tf())));
} catch (error) {
  if (!(error instanceof BackendError)) throw error;
  console.error(error.message);
  Deno.exitCode = 1;
}
