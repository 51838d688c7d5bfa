/** Plain JavaScript arithmetic: everywhere, and slow. @module */

import type { Candidate } from "./candidate.ts";
import { allowEmptyMaps } from "./empty_maps.ts";

/** The cpu backend: the reference that the others are checked against. */
export const cpu: Candidate = {
  name: "cpu",
  onlyByName: () => Promise.resolve("slow, only by name: it is the reference for the others"),
  start(tf) {
    allowEmptyMaps(tf, "cpu");
    return Promise.resolve({
      device: "CPU (plain JavaScript)",
      version: tf.version["tfjs-backend-cpu"],
      threads: 1,
      selfCheck: null,
    });
  },
};
