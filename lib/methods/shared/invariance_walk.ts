/**
 * What `invariance` finds on its walk: each image as it is, then transformed, and what each layer makes of it.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import type { ImageView } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import type { Baseline } from "../../probe/attribution/baseline.ts";
import {
  codeDistance,
  distanceAlong,
  mapOfCells,
  type Transform,
  transformed,
  valuesFor,
} from "../../probe/transforms.ts";
import { type Example, exampleOf, EXAMPLES, type ImageInvarianceRow } from "../../results/invariance.ts";
import type { ImagesReader } from "./images.ts";
import type { OutputAsked } from "./output_asked.ts";
import { type Version, walkVersions } from "./versions.ts";

/** What a walk is asked. */
interface Question {
  readonly transforms: readonly Transform[];
  /** The values of each transform; null where they are to be found. */
  readonly curves: readonly (readonly number[] | null)[];
  readonly layers: readonly string[];
  readonly output: OutputAsked;
  readonly baseline: Baseline;
  readonly seed: number;
}

/** A transform at a value. */
interface Step {
  readonly transform: Transform;
  readonly value: number;
}

/** Images on their way through the network, and what was found. */
export class InvarianceWalk {
  readonly #model: Model;
  readonly #reader: ImagesReader;
  readonly #asked: Question;
  /** The image whose versions come: its codes as it is, and what is followed of its output. */
  #now?: { readonly codes: readonly NdArrayLike[]; readonly answer: number | null };
  readonly #each: ImageInvarianceRow[] = [];
  readonly #between: number[][];
  readonly #examples: Example[] = [];

  constructor(model: Model, reader: ImagesReader, asked: Question) {
    this.#model = model;
    this.#reader = reader;
    this.#asked = asked;
    this.#between = asked.layers.map(() => []);
  }

  /** What was found in each image, in pictures, and between images. */
  get found() {
    return { each: this.#each, examples: this.#examples, between: this.#between };
  }

  /** Walks all images. */
  async run(
    run: Pick<RunOptions, "batchSize" | "signal"> & { onProgress: (done: number) => void },
  ): Promise<void> {
    const { transforms, curves, layers, output, baseline, seed } = this.#asked;
    const isDrawn = ({ place }: ImageView) => place < EXAMPLES && this.#model.dimensions === 2;
    await walkVersions<Step>(
      this.#model,
      this.#reader,
      {
        stepsFor: (sides) =>
          transforms.flatMap((transform, i) =>
            (curves[i] ?? valuesFor(transform, sides)!).map((value) => ({ transform, value }))
          ),
        make: (shown, { transform, value }, how) => transformed(shown, transform, value, how),
        outputs: [...layers, output.output.index],
        baseline,
        seed,
      },
      (version) => this.#receive(version),
      (picture, { transform, value }, image) => {
        if (!isDrawn(image)) return;
        this.#examples.push(exampleOf(picture, { image: image.place, transform: transform.name, value }));
      },
      run,
    );
  }

  /** Takes what the network makes of a version. */
  #receive({ image, step, isSame, outputs }: Version<Step>): void {
    const { output, layers } = this.#asked;
    const [own, numbers] = [outputs.slice(0, -1), outputs.at(-1)!.data];
    if (step === null) {
      // The batch is given up, so what is kept is copied.
      const codes = own.map(({ data, shape }) => ({ data: data.slice(), shape }));
      this.#now?.codes.forEach(({ data }, k) => {
        // Of free sizes, codes of two images need not be as long.
        const { distance } = data.length === codes[k].data.length
          ? codeDistance(data, codes[k].data)
          : { distance: null };
        if (distance !== null) this.#between[k].push(distance);
      });
      output.resolve(numbers, image);
      this.#now = { codes, answer: output.answer(numbers) };
      return;
    }
    const { transform, value } = step;
    const { codes, answer: before } = this.#now!;
    const answer = isSame ? before : output.answer(numbers);
    const isProbability = output.output.noun !== "output";
    layers.forEach((layer, k) => {
      const code = isSame ? codes[k] : own[k];
      this.#each.push({
        index: image.place,
        image: this.#reader.nameOf(image),
        transform: transform.name,
        layer,
        value,
        ...codeDistance(codes[k].data, code.data),
        moved: this.#moved(image, layer, codes[k], code, step),
        ...isProbability ? { probability: answer } : { score: answer },
      });
    });
  }

  /** How far a map is from that of the image as it is, had that moved along; null where it could not. */
  #moved(
    { view }: ImageView,
    layer: string,
    still: NdArrayLike,
    code: NdArrayLike,
    { transform: { map }, value }: Step,
  ): number | null {
    if (!map || still.shape.length !== 3) return null;
    const ofCells = mapOfCells(map(value), this.#model.layer(layer).receptiveField, view.shape, still.shape);
    return ofCells && distanceAlong(still, code, ofCells);
  }
}
