/**
 * Images of a data set with their true classes, as methods take them that attack a model.
 *
 * @module
 */

import type { Dataset } from "../../data/dataset.ts";
import type { InputArray } from "../../data/given.ts";
import { InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import { oneOf, WalkOptions, whole } from "../../options.ts";
import { type Answer, type Attack, type Attacker, type AttackMethod, ATTACKS } from "../../probe/attack/attack.ts";
import { type Known, type TruthOf, truthOf, TruthReader } from "../../probe/truth.ts";
import { shapesText } from "../../probe/batches.ts";
import type { SkippedImage } from "../../data/dataset.ts";

/** The options of methods that attack the images of a data set. */
export class AttackedOptions extends WalkOptions {
  /**
   * Where it stands what an image shows, as for `evaluate`.
   * @default the column `label`
   */
  @truthOf
  truth?: TruthOf;
  /**
   * How many steps there are, of `"iterative"` and `"pgd"`.
   * @default 10
   */
  @whole(1)
  steps = 10;
  /**
   * Of all that is drawn.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** The rule of an option that names one attack. */
export const attackName = () => oneOf(...ATTACKS);

/** An image with its true class. */
export interface Classed {
  id: string;
  view: InputArray;
  /** The index of its class among the model's. */
  own: number;
}

/** The images of a data set, all in memory, with their classes. */
export async function readClassed(
  asker: string,
  model: Model,
  dataset: Dataset,
  { truth, onBadImage, signal }: Pick<AttackedOptions, "truth" | "onBadImage" | "signal">,
): Promise<{ images: Classed[]; labels: readonly string[]; skipped: readonly SkippedImage[] }> {
  const reader = new InputReader(asker, model, dataset, { onBadImage, signal });
  const known = new TruthReader(model, dataset, truth);
  const images: Classed[] = [];
  for await (const image of reader) {
    images.push({ id: image.id, view: image.view, own: known.classesOf(image.known as Known)[0] });
  }
  if (images.length === 0) throw new RangeError(`${asker} wants at least one image that can be read: received none.`);
  return { images, labels: known.labels, skipped: reader.skipped };
}

/** Images some at a time, each lot of one shape. */
export function* lots<Item extends { view: InputArray }>(
  items: readonly Item[],
  size: number,
): Generator<{ start: number; lot: Item[] }> {
  for (let start = 0; start < items.length;) {
    const shapes = shapesText(items[start].view);
    let end = start + 1;
    while (end < items.length && end - start < size && shapesText(items[end].view) === shapes) end++;
    yield { start, lot: items.slice(start, end) };
    start = end;
  }
}

/** What a model says of each image. */
export async function answersOf(
  attacker: Attacker,
  views: readonly InputArray[],
  signal?: AbortSignal,
): Promise<Answer[]> {
  const found: Answer[] = [];
  for (const { lot } of lots(views.map((view) => ({ view })), attacker.batch)) {
    signal?.throwIfAborted();
    found.push(...await attacker.answers(lot.map(({ view }) => view)));
  }
  return found;
}

/** Each image under an attack. */
export async function attackedViews(
  attacker: Attacker,
  images: readonly Classed[],
  attack: Attack,
  { signal, update }: { signal?: AbortSignal; update?: (done: number) => void },
): Promise<InputArray[]> {
  const found: InputArray[] = [];
  for (const { start, lot } of lots(images, attacker.batch)) {
    signal?.throwIfAborted();
    const views = lot.map(({ view }) => view);
    const values = await attacker.perturb(views, lot.map(({ own }) => own), attack, start);
    values.forEach((data, i) => found.push({ ...views[i], data }));
    update?.(found.length);
  }
  return found;
}

export type { AttackMethod };
