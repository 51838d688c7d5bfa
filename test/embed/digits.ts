/** scikit-learn's digits, from the oracle's fixture: 1797 images of 8×8, values 0 to 16. */

import type { NdArrayLike } from "../../lib/array.ts";

const fixtures = new URL("../oracles/fixtures/", import.meta.url);

export async function digits(): Promise<{ points: NdArrayLike; labels: number[] }> {
  const { images, labels } = JSON.parse(await Deno.readTextFile(new URL("digits.json", fixtures)));
  const text = images.join("");
  const data = Float32Array.from({ length: text.length }, (_, i) => text.charCodeAt(i) - 97);
  return { points: { data, shape: [images.length, 64] }, labels };
}

// deno-lint-ignore no-explicit-any
export async function oracle(): Promise<any> {
  return JSON.parse(await Deno.readTextFile(new URL("tsne.json", fixtures)));
}

/** The greatest difference of two lists of one length. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`Lists of ${a.length} and ${b.length} cannot be compared.`);
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    most = Math.max(most, Number.isNaN(a[i] - b[i]) ? Infinity : Math.abs(a[i] - b[i]));
  }
  return most;
}
