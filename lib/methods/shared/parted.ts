/**
 * What two networks answer to the same images, and the pictures of those on which they part.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../../array.ts";
import { type Dataset, ImageDataset } from "../../data/dataset.ts";
import { tileOf } from "../../data/sample.ts";
import type { Model } from "../../model/model.ts";
import { item } from "../../probe/forward.ts";
import type { PairAnswer, PartedGroup, PartedImage } from "../../results/model_comparison.ts";
import type { SeenByBoth, Two } from "./pair_walk.ts";

/** The image that is drawn large, and how sure both are of their different answers. */
interface ShownImage {
  readonly name: string;
  readonly views: SeenByBoth["views"];
  readonly sure: number;
}

const NAMES = {
  classes: "classes",
  binary: "two classes",
  labels: "independent labels",
  numbers: "numbers",
  map: "maps",
};

/** Gathers answers, while images are walked. */
export class PartedAnswers {
  /** Why answers are not compared; empty where they are. */
  readonly why: string;
  readonly #models: Two<Model>;
  readonly #most: number;
  /** Labels that both can give. */
  readonly #common: Set<string>;
  readonly #rows: { -readonly [Key in keyof PairAnswer]: PairAnswer[Key] }[] = [];
  readonly #halves = new Map<number, SeenByBoth & { answers: ({ label: string; confidence: number } | undefined)[] }>();
  readonly #groups: Record<PartedGroup, PartedImage[]> = { a: [], b: [], none: [], unknown: [] };
  #shown: ShownImage | undefined;

  /** @param most how many pictures of each group are kept */
  constructor(models: Two<Model>, most: number) {
    const [a, b] = models.map(({ output }) => output);
    this.#models = models;
    this.#most = most;
    const classes = [a, b].every(({ kind }) => kind === "classes" || kind === "binary");
    this.#common = new Set(classes ? a.labels.filter((label) => b.labels.includes(label)) : []);
    this.why = classes
      ? this.#common.size > 0 ? "" : "They have no class in common, so their answers are not compared."
      : `Their outputs are ${
        a.kind === b.kind ? NAMES[a.kind] : `${NAMES[a.kind]} and ${NAMES[b.kind]}`
      }, so there are no ` +
        "answers to compare.";
  }

  /** The image on which both are surest of different answers; without any the first. */
  get shown(): ShownImage {
    return this.#shown!;
  }

  /** The pictures that are kept of each group, the surest first. */
  get parted(): Readonly<Record<PartedGroup, readonly PartedImage[]>> {
    return this.#groups;
  }

  /** The answers in the order of the data set, whatever that of the walk; empty where they are not compared. */
  inOrderOf(dataset: Dataset): PairAnswer[] {
    const known = dataset instanceof ImageDataset ? dataset.known : undefined;
    if (!known) return this.#rows;
    const places = new Map(known.map(({ id }, place) => [id, place]));
    return this.#rows.sort((a, b) => places.get(a.id)! - places.get(b.id)!);
  }

  /** Takes an image before it is run. */
  read(seen: SeenByBoth): void {
    const { id, place } = seen.image;
    this.#shown ??= { name: id, views: seen.views, sure: -1 };
    if (this.why === "") this.#halves.set(place, { ...seen, answers: [undefined, undefined] });
  }

  /** Takes what one network puts out for some images. */
  add(which: 0 | 1, outputs: NdArrayLike, start: number): void {
    if (this.why !== "") return;
    const { output } = this.#models[which];
    for (let i = 0; i < outputs.shape[0]; i++) {
      const half = this.#halves.get(start + i)!;
      const values = output.finiteValues(item(outputs, i).data as Float32Array, half.image.id);
      const index = output.predicted(values);
      half.answers[which] = { label: output.labels[index], confidence: values[index] };
      if (half.answers[1 - which]) this.#judge(start + i);
    }
  }

  #judge(place: number): void {
    const { image, views, answers: [a, b] } = this.#halves.get(place)!;
    this.#halves.delete(place);
    const { id, label } = image;
    const known = label !== undefined && this.#common.has(label);
    const [rightA, rightB] = [a!.label === label, b!.label === label];
    const same = a!.label === b!.label;
    const answer = { a: a!.label, b: b!.label, confidenceA: a!.confidence, confidenceB: b!.confidence };
    this.#rows[place] = { id, ...label !== undefined && { label }, ...answer, same, ...known && { rightA, rightB } };
    if (same) return;
    const sure = Math.min(a!.confidence, b!.confidence);
    if (sure > this.#shown!.sure) this.#shown = { name: id, views, sure };
    const group = this.#groups[known ? rightA ? "a" : rightB ? "b" : "none" : "unknown"];
    if (this.#most === 0 || (group.length === this.#most && group.at(-1)!.sure >= sure)) return;
    const { data, width, height } = tileOf(this.#models[0].shown(views[0]));
    const at = group.findIndex((other) => other.sure < sure);
    const picture = {
      id,
      ...label !== undefined && { label },
      ...answer,
      sure,
      image: ndarray(data, [height, width, 3]),
    };
    group.splice(at < 0 ? group.length : at, 0, picture);
    group.length = Math.min(group.length, this.#most);
  }
}
