/**
 * Small changes that make a model say something else.
 *
 * - `"fgsm"`: Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples" (2014), §4;
 * - `"iterative"`: Kurakin, Goodfellow and Bengio, "Adversarial Examples in the Physical World" (2016), §2.2;
 * - `"pgd"`: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks" (2017), §2.1;
 * - `"deepfool"`: Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool" (2016), algorithm 2;
 * - `"noise"` and `"evolution"`: Nguyen, Yosinski and Clune, "Deep Neural Networks are Easily Fooled" (2015).
 *
 * @module
 */

import { type Dataset, isDataset } from "../data/dataset.ts";
import type { ImageLike } from "../data/image.ts";
import { wilson } from "../embed/logistic.ts";
import { brief, percent } from "../format.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { flag, oneOf, positive, readOptions, rule, WalkOptions, whole, within } from "../options.ts";
import type { Encoding } from "../probe/attack/evolution.ts";
import type { Norm } from "../probe/attack/attack.ts";
import type { Target } from "../probe/target.ts";
import { type Fooled, FooledImages } from "../results/fooled.ts";
import { withProgress } from "../results/progress.ts";
import { FoolingRun, type FoolMethod } from "./shared/fooling.ts";
import { ImagesReader } from "./shared/images.ts";

/** Options of {@linkcode fool}. */
export class FoolOptions extends WalkOptions {
  /**
   * How: `"fgsm"`, one step along the gradient's signs; `"iterative"`, several; `"pgd"`, several from a random start;
   * `"deepfool"`, the smallest change, of any size, made longer where rounding would undo it. Or a picture of nothing of
   * which the model is sure by 99 %, in the place of the image and of its size: `"noise"`, from noise by the gradient;
   * `"evolution"`, bred without a gradient.
   * @default "pgd"
   */
  @oneOf("fgsm", "iterative", "pgd", "deepfool", "noise", "evolution")
  method: FoolMethod = "pgd";
  /**
   * Of `"evolution"`: whether pixels are bred (`"direct"`), or networks that paint (`"cppn"`).
   * @default "cppn"
   */
  @oneOf("direct", "cppn")
  encoding: Encoding = "cppn";
  /**
   * How large the change is at most, in units of pixels, 0…255: each value of it, or with `norm: "l2"` its Euclidean length.
   * Below 1 nothing is left of it when it is saved.
   * @default 8; of the length 2 √(how many values the image has)
   */
  @within(0)
  epsilon?: number;
  /**
   * How the change is measured: `"linf"` by its largest value, `"l2"` by its length.
   * @default "linf"
   */
  @oneOf("linf", "l2")
  norm: Norm = "linf";
  /**
   * What the model is to say: a class, by its label or index. Of independent labels the one that is to appear or vanish, of
   * numbers the one that is to be moved; or any other target, as a unit `{ layer, channel, cell }`.
   * @default of classes any but the right one, of pictures of nothing what the model says of the image; the label that the model is surest of; the first number
   */
  @rule(() => {})
  target?: Target;
  /**
   * Where the target is no class: whether its score is driven up or down.
   * @default "up"; of labels to the other side of .5
   */
  @oneOf("up", "down")
  direction?: "up" | "down";
  /**
   * How many steps, but of `"fgsm"`; of `"evolution"` one is 250 children. Pictures of nothing end when the model is sure.
   * @default 40
   */
  @whole(1)
  steps = 40;
  /**
   * How far a step of `"iterative"` and `"pgd"` goes, in the units of `epsilon`.
   * @default 2.5 epsilon / steps
   */
  @positive()
  stepSize?: number;
  /**
   * Of the random start of `"pgd"`, of noise and of evolution.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * Whether the gradient of the first answer is drawn before and after.
   * @default false
   */
  @flag()
  maps = false;
}

/**
 * Changes an image a little, so that the model says something else of it: to study what it hangs on, not to deceive anyone.
 *
 * The attack follows the gradient of the scores before the softmax, so that a softmax that saturates hides nothing. It begins
 * at the image as the model sees it, in whole numbers; what it finds is rounded to whole numbers again and stays within
 * epsilon and 0…255, and whether it fools is told of that image, as it can be saved, and of what is left of it as JPEG or
 * at another size. Images of a data set that the model has wrong already are not changed, and counted apart; of images
 * without a label it is not known whether the model was right, and "fooled" says that its answer has changed.
 *
 * @param model a model of classes, of two classes, of labels or of numbers; nothing on it changes
 * @param image an image, several, or a data set
 * @returns `image` and `perturbation`, `[h, w, c]`; `before` and `after`, `{ label, probability }`; `fooled`; `rows`, one for
 *   each way of saving it. For several an array of these, with `attacked`, `fooled` and `wrong`
 * @throws {TypeError} if the model reads no pictures, or `"deepfool"` is asked for a target or for what is no class
 * @throws {RangeError} if the target does not exist, or an option does not fit
 *
 * @example
 * ```ts
 * import { fool, loadModel, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const { before, after, perturbation } = await fool(model, await photo("dog"), { method: "pgd", epsilon: 4, steps: 10 });
 * console.log(before.label, after.label, perturbation.shape);
 * ```
 */
export async function fool(model: Model, image: ImageLike, options?: Partial<FoolOptions>): Promise<Fooled>;
/** Several images, or those of a data set. */
export async function fool(
  model: Model,
  images: readonly ImageLike[] | Dataset,
  options?: Partial<FoolOptions>,
): Promise<FooledImages>;
export async function fool(
  model: Model,
  images: ImageLike | readonly ImageLike[] | Dataset,
  options: Partial<FoolOptions> = {},
): Promise<Fooled | FooledImages> {
  checkModel("fool", model);
  const { onProgress, ...asked } = readOptions("fool", FoolOptions, options);
  await checkReady("fool", model);
  const many = isDataset(images) || Array.isArray(images);
  const several = (many ? images : [images]) as readonly ImageLike[] | Dataset;
  const reader = new ImagesReader("fool", model, several, asked);
  const run = await FoolingRun.of(model, asked);
  const results: Fooled[] = [];
  try {
    await withProgress(
      `Fooling ${model.name}`,
      reader.size,
      async (update) => {
        for await (const chunk of reader.chunks(run.batch)) {
          asked.signal?.throwIfAborted();
          results.push(...await run.change(chunk.map((one) => ({ ...one, name: reader.nameOf(one) }))));
          update(results.length + reader.skipped.length);
        }
      },
      onProgress,
      reader,
    );
  } finally {
    run.dispose();
  }
  if (!many) return results[0];
  const found = FooledImages.titled<Fooled, FooledImages>(results, "", []);
  const { attacked, fooled, wrong } = found;
  const [low, high] = wilson(fooled, Math.max(1, attacked));
  const title = `${model.name} · ${run.text(brief)}: ${fooled} of ${attacked} fooled` +
    (attacked ? ` (${percent(low, 0)} to ${percent(high, 0)})` : "") + (wrong ? `, ${wrong} were wrong before` : "");
  return FooledImages.titled<Fooled, FooledImages>(results, title, reader.skipped);
}
