/**
 * Training a network from a data set, step by step, so that a run can be watched, stopped and taken up again.
 *
 * All that a run depends on is in its weights, its optimiser's slots, its schedule's state and the number of the step:
 * every random number is a function of the seed and of what it is for.
 *
 * @module
 */

import type { Scalar, Tensor, Tensor2D, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import { NdArray } from "../../array.ts";
import type { Dataset } from "../../data/dataset.ts";
import type {
  Ending,
  EpochRow,
  HistoryData,
  Snapshot,
  TrainingStart,
  TrainingSummary,
  TrainingWatcher,
} from "../../data/history.ts";
import { namedWeights } from "../../model/formats/named_weights.ts";
import type { Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import { preprocess } from "../../model/preprocess.ts";
import { checkWeights, firstInvalid } from "../../model/weights.ts";
import { readOptions } from "../../options.ts";
import { randomStream, shuffled } from "../../random.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { withTape } from "../../runtime/gradients/tape.ts";
import type { InputArray } from "../../data/given.ts";
import type { Known } from "../truth.ts";
import { adversarial, type AdversarialTraining, adversary } from "./adversarial.ts";
import { type Augment, augmentation, batchOf } from "./augment.ts";
import { CheckpointError, prepareCheckpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { evaluate, type Evaluation, observe, watchedLayers } from "./evaluate.ts";
import { checkSameRun, identityOf, type RunStart } from "./identity.ts";
import { inputsOf, Randomness, readImages } from "./images.ts";
import { EpochLosses, type StepOutcome } from "./losses.ts";
import { type RunningOptimizer, startOptimizer } from "./optimizer.ts";
import { recipeOf, type TrainingOptions, TrainingSpec } from "./options.ts";
import { RunRecord, type SavedState } from "./record.ts";
import { labelsFor, sampleAt, type Samples } from "./samples.ts";
import { beginAnew } from "./scratch.ts";
import { lossAndScore, targetsOf } from "./targets.ts";
import { type RunningSchedule, startSchedule } from "./schedule.ts";
import { type Moving, trainedOutput, type TrainingPass, trainingPass } from "./training_pass.ts";
import { download, penaltiesOf, trainedWeights } from "./weights.ts";

/** A run that cannot go on, with the reason and the remedy. */
export class TrainingError extends Error {
  /** The error's name. */
  override name = "TrainingError";
}

/** Losses are read after this many steps. */
const STEPS_PER_READING = 16;
/** Timers and signals get their turn after this many milliseconds. */
const PAUSE_MS = 100;
/** How many images the layers' sparsity is measured on. */
const WATCHED_IMAGES = 64;

/**
 * Trains a network. It is the one place that changes a model: its weights. A run that is aborted, or that fails, leaves
 * them as they are by then.
 *
 * @throws {TypeError} if an option is unknown or of a wrong kind
 * @throws {RangeError} if an option does not fit
 * @throws {TrainingError} if the loss or the weights are no longer numbers
 */
export async function runTraining(
  model: Model,
  dataset: Dataset,
  options: TrainingOptions = {},
  watcher: TrainingWatcher = {},
): Promise<HistoryData> {
  return await trainAsRead(model, dataset, readOptions("train", TrainingSpec, options), watcher);
}

/** {@linkcode runTraining} with options that have been read already. */
export async function trainAsRead(
  model: Model,
  dataset: Dataset,
  spec: TrainingSpec,
  watcher: TrainingWatcher = {},
): Promise<HistoryData> {
  const recipe = recipeOf(model, spec);
  const checkpoint = spec.checkpoint === undefined ? undefined : await prepareCheckpoint(spec.checkpoint);
  const output = trainedOutput(model, dataset, spec.truth === undefined ? await firstKnown(dataset) : null);
  const isClassed = output.kind === "classes" || output.kind === "binary";
  const labels = isClassed ? labelsFor(model, dataset, output) : output.labels;
  const probe = spec.probe === undefined ? undefined : await model.view(spec.probe);
  const tf = await ensureBackend();
  const pass = trainingPass(tf, model, output);
  const weights = namedWeights(model.network);
  const trained = trainedWeights(model.network, weights, pass.weights);
  if (trained.length === 0) {
    throw new TypeError(`The model ${JSON.stringify(model.name)} has no weights that may be trained.`);
  }
  const penalties = penaltiesOf(model.network);
  const images = await readImages(model, output, dataset, labels, spec, watcher);
  const optimizer = startOptimizer(tf, recipe.optimizer, trained, recipe.weightDecay);
  try {
    const augment = augmentation(spec.augment ?? {}, images.training);
    checkAugment(model, output, augment, images.training);
    const attack = spec.adversarialTraining && adversary(spec.adversarialTraining, model, images.training);
    const made = { tf, attack, model, output, dataset, labels, spec, recipe, augment, probe, checkpoint };
    const run = new TrainingRun({ ...made, pass, weights, trained, penalties, optimizer, ...images }, watcher);
    return await run.finish();
  } finally {
    optimizer.dispose();
    images.close();
  }
}

/** What a data set says of its first image; null where that cannot be read. */
async function firstKnown(dataset: Dataset): Promise<Known | null> {
  try {
    for await (const { image: _, ...known } of dataset) return known as Known;
  } catch {
    // It is told when the images are read.
  }
  return null;
}

/** @throws {RangeError} if images are to be shifted by pixels that the cells of their maps do not have */
function checkAugment(
  model: Model,
  { cells }: ModelOutput,
  { crop }: Augment,
  { shape: [height, width] }: Samples,
): void {
  if (crop === 0 || cells.length === 0 || (cells[0] === height && cells[1] === width)) return;
  throw new RangeError(
    `augment.crop shifts images by pixels: the maps of ${JSON.stringify(model.name)} have ${
      cells.join("×")
    } cells for ` +
      `${height}×${width} pixels. Leave it out; flip can be had.`,
  );
}

/** What a run is made of. */
interface RunParts extends RunStart {
  tf: TF;
  dataset: Dataset;
  spec: TrainingSpec;
  pass: TrainingPass;
  /** The checkpoint's path, whatever becomes of the working directory. */
  checkpoint?: string;
  /** What the layers' own regularizers add to the loss. */
  penalties: readonly (() => Scalar)[];
  optimizer: RunningOptimizer;
  /** How the images are changed against the network. @default not at all */
  attack?: AdversarialTraining;
}

/** What a step is about, beside the images. */
interface TrainingBatch {
  /** What is true of the images, as {@linkcode targetsOf} gives it. */
  targets: Float32Array;
  /** How many they are. */
  images: number;
  /** Counted from 0 over the whole run. */
  step: number;
}

/** One run, from its first epoch or from its checkpoint on. */
class TrainingRun {
  readonly #parts: RunParts;
  readonly #watcher: TrainingWatcher;
  readonly #stepsPerEpoch: number;
  readonly #schedule: RunningSchedule;
  readonly #record = new RunRecord();
  /** The layers whose activations are watched, and the images that they are watched on. */
  readonly #layers: readonly string[];
  readonly #watched: Samples;
  readonly #probe: InputArray;
  /** How many epochs are done, and how much of the next one, from 0 to 1. */
  #epoch = 0;
  #share = 0;
  #start: TrainingStart;
  #ending: Ending = "done";
  #recent: EpochLosses["recent"] = { loss: NaN, score: NaN };
  #paused = performance.now();

  constructor(parts: RunParts, watcher: TrainingWatcher) {
    const { recipe, model, training, validation, probe } = parts;
    this.#parts = parts;
    this.#watcher = watcher;
    this.#stepsPerEpoch = Math.ceil(training.count / recipe.batchSize);
    this.#schedule = startSchedule(recipe.schedule, { epochs: recipe.epochs, stepsPerEpoch: this.#stepsPerEpoch });
    this.#layers = watchedLayers(model);
    this.#watched = validation ?? training;
    this.#probe = probe ?? sampleAt(this.#watched, 0);
    this.#start = model.start;
  }

  /** Trains until the last epoch, an early stop or an abort; the model says afterwards by what it was trained. */
  async finish(): Promise<HistoryData> {
    try {
      const history = await this.#train();
      this.#note(history.ending);
      return history;
    } catch (error) {
      this.#note("failed");
      throw error;
    }
  }

  /** Says in the model by which runs it was trained. */
  #note(ending: TrainingSummary["ending"]): void {
    const { model, dataset, training, validation, recipe } = this.#parts;
    const epochs = this.#epoch + this.#share;
    // A run that did not take a step is none.
    if (epochs === 0) return;
    const last = this.#record.rows.at(-1);
    const known = (value: number | undefined) => value === undefined || Number.isNaN(value) ? null : value;
    model.noteTraining([...this.#start.before, {
      dataset: dataset.name,
      images: training.count,
      validationImages: validation?.count ?? 0,
      epochs,
      ending,
      loss: known(last?.loss),
      accuracy: known(last?.accuracy),
      validationLoss: known(last?.validationLoss),
      validationAccuracy: known(last?.validationAccuracy),
      optimizer: recipe.optimizer.kind,
      learningRate: recipe.learningRate,
      batchSize: recipe.batchSize,
      seed: recipe.seed,
    }]);
  }

  /** Gives the model fresh weights. */
  async #beginAnew(): Promise<void> {
    const { tf, model, recipe } = this.#parts;
    beginAnew(tf, model.network, model.name, recipe.seed);
    this.#start = { from: "scratch", before: [] };
    model.noteTraining([]);
    // Those that are frozen have not been looked at.
    await checkWeights(tf, model.network, model.name);
  }

  async #train(): Promise<HistoryData> {
    const { spec, recipe, training, checkpoint } = this.#parts;
    if (checkpoint === undefined || !await this.#resume(checkpoint)) {
      if (spec.from === "scratch") await this.#beginAnew();
      await this.#measureLayers();
    }
    await this.#watcher.onEpoch?.(this.#history());
    this.#paused = performance.now();
    while (this.#epoch < recipe.epochs && this.#ending === "done") {
      if (recipe.earlyStop !== null && this.#record.stalled(recipe.earlyStop)) this.#ending = "stopped early";
      else if (!await this.#trainEpoch()) this.#ending = "aborted";
      else {
        if (checkpoint !== undefined) await this.#save(checkpoint);
        spec.onProgress?.(this.#epoch * training.count, recipe.epochs * training.count);
        await this.#watcher.onEpoch?.(this.#history());
      }
    }
    const share = this.#share && Math.min(0.99, Math.max(0.01, Number(this.#share.toFixed(2))));
    await this.#keepSnapshot(this.#epoch + share);
    return this.#history();
  }

  #history(): HistoryData {
    const { model, dataset, labels, training, validation } = this.#parts;
    const { rows, layers, snapshots } = this.#record;
    return {
      model: model.name,
      dataset: dataset.name,
      labels,
      start: this.#start,
      rows: [...rows],
      layers: [...layers],
      snapshots: [...snapshots],
      probe: NdArray.from(this.#probe),
      // Two parts of one data set share their list.
      skipped: [...new Set([training.skipped, validation?.skipped ?? []])].flat(),
      ending: this.#ending,
    };
  }

  /** One epoch, its validation and its measurements; false if it was aborted. */
  async #trainEpoch(): Promise<boolean> {
    const { tf, training } = this.#parts;
    const start = performance.now();
    const losses = new EpochLosses(tf);
    try {
      if (!await this.#trainSteps(losses)) return false;
    } finally {
      losses.dispose();
    }
    await this.#refuseInvalidWeights();
    const checked = await this.#validate();
    if (!checked) return false;
    const learningRate = this.#rateAt((this.#epoch + 1) * this.#stepsPerEpoch - 1);
    this.#epoch++;
    this.#share = 0;
    this.#schedule.noteError(this.#isNumbers ? checked.score : 1 - checked.score);
    const row = {
      epoch: this.#epoch,
      loss: losses.loss / training.count,
      ...this.#scored(losses.score / training.count, "accuracy", "error"),
      validationLoss: checked.loss,
      ...this.#scored(checked.score, "validationAccuracy", "validationError"),
      learningRate,
      seconds: NaN,
    };
    await this.#measureLayers();
    this.#record.rows.push({ ...row, seconds: (performance.now() - start) / 1000 } as EpochRow);
    return true;
  }

  /** The steps of an epoch; false if it was aborted. */
  async #trainSteps(losses: EpochLosses): Promise<boolean> {
    const { training, recipe, spec, augment } = this.#parts;
    const { batchSize, seed } = recipe;
    const order = shuffled(training.count, randomStream(seed, Randomness.order, this.#epoch));
    for (let step = 0; step < this.#stepsPerEpoch; step++) {
      if (spec.signal?.aborted) return false;
      const indexes = order.subarray(step * batchSize, (step + 1) * batchSize);
      const images = batchOf(training, indexes, augment, [seed, Randomness.augment, this.#epoch]);
      const targets = targetsOf(training, indexes, augment, [seed, Randomness.augment, this.#epoch]);
      losses.add(this.#trainBatch(images, targets, this.#epoch * this.#stepsPerEpoch + step));
      this.#share = (step * batchSize + indexes.length) / training.count;
      if (losses.pending === STEPS_PER_READING || step === this.#stepsPerEpoch - 1) {
        await this.#readLosses(losses, step);
      }
      if (performance.now() - this.#paused >= PAUSE_MS) await this.#pause();
    }
    return true;
  }

  get #isNumbers(): boolean {
    return this.#parts.output.each === "numbers";
  }

  /** A score under its name: of numbers it is an error. */
  #scored<Share extends string, Size extends string>(score: number, share: Share, size: Size) {
    return (this.#isNumbers ? { [size]: score } : { [share]: score }) as { [Name in Share | Size]?: number };
  }

  #rateAt(step: number): number {
    return this.#parts.recipe.learningRate * this.#schedule.factorAt(step);
  }

  /**
   * One step.
   *
   * @param images `[n, h, w, c]`, 0…255
   * @param targets what is true of them, as {@linkcode targetsOf} gives it
   * @param step counted from 0 over the whole run
   */
  #trainBatch(images: InputArray, targets: Float32Array, step: number): StepOutcome {
    const { tf, trained, penalties, optimizer } = this.#parts;
    const moving: Moving[] = [];
    const kept: Tensor[] = [];
    const given = this.#inputsOf(images);
    const about = { targets, images: images.shape[0], step };
    let attacked: Tensor[] | null = null;
    try {
      attacked = this.#attacked(given, images, about);
      const { value, grads } = withTape(tf, () =>
        tf.variableGrads(() => {
          const { loss, score } = this.#lossOf(attacked ?? given, about, moving, attacked !== null);
          kept.push(tf.keep(score), tf.keep(loss));
          return penalties.length ? tf.addN([loss, ...penalties.map((penalty) => penalty())]) : tf.clone(loss);
        }, trained.map(({ variable }) => variable)));
      value.dispose();
      this.#refuseUntrained(grads);
      optimizer.apply(grads, this.#rateAt(step), step);
      tf.dispose(grads);
      this.#applyAfterStep(moving);
      const [score, loss] = kept.splice(0) as Scalar[];
      return { loss, score, images: images.shape[0] };
    } finally {
      tf.dispose([...given, ...attacked ?? []]);
      tf.dispose(moving.map(({ statistic }) => statistic));
      tf.dispose(kept);
    }
  }

  /**
   * Loss and score of a batch.
   *
   * @param attacked whether the inputs hold the images as they are and then the changed ones: the loss is of both, the score
   *   of the former
   */
  #lossOf(given: readonly Tensor[], { targets, images, step }: TrainingBatch, moving: Moving[], attacked = false) {
    const { tf, pass, output, recipe: { seed, labelSmoothing }, attack } = this.#parts;
    const logits = pass.run(given, [seed, Randomness.dropout, step], moving);
    const of = (logits: Tensor2D) => lossAndScore(tf, output, pass.loss, logits, targets, images, labelSmoothing);
    if (!attacked) return of(logits);
    const [plain, changed] = (tf.split(logits, 2) as Tensor2D[]).map(of);
    const alpha = attack!.alpha;
    return {
      loss: tf.add(tf.mul(plain.loss, alpha), tf.mul(changed.loss, 1 - alpha)) as Scalar,
      score: plain.score,
    };
  }

  /** The inputs twice, the second time with the images changed against the network; null where none are. */
  #attacked(given: readonly Tensor[], { others = [null] }: InputArray, batch: TrainingBatch): Tensor[] | null {
    const { tf, model, recipe: { seed }, attack } = this.#parts;
    if (!attack) return null;
    const at = others.indexOf(null);
    // What a pass means to moving averages counts once: in the step itself.
    const passing: Moving[] = [];
    const lossOf = (x: Tensor) => this.#lossOf(given.with(at, x), batch, passing).loss;
    try {
      const changed = adversarial(tf, lossOf, given[at], model, attack, [seed, Randomness.adversary, batch.step]);
      const twice = given.map((input, i) => tf.concat([input, i === at ? changed : input]));
      changed.dispose();
      return twice;
    } finally {
      tf.dispose(passing.map(({ statistic }) => statistic));
    }
  }

  /** @throws {TypeError} if no gradient reaches a weight that should be trained */
  #refuseUntrained(grads: Readonly<Record<string, Tensor>>): void {
    const { tf, model, trained } = this.#parts;
    const left = trained.find(({ variable }) => !grads[variable.name]);
    if (!left) return;
    tf.dispose(grads);
    throw new TypeError(
      `The weights ${JSON.stringify(left.name)} of ${
        JSON.stringify(model.name)
      } would not train: no gradient reaches ` +
        `them from the loss. Freeze their layer (trainable = false), or change what it computes.`,
    );
  }

  /** A batch as tensors, in the order of the network's inputs. */
  #inputsOf({ data, shape, others = [null] }: InputArray): Tensor[] {
    const { tf, model } = this.#parts;
    return others.map((other) =>
      other
        ? tf.tensor(other.data, [...other.shape])
        : tf.tensor(preprocess({ data, shape }, model.preprocess), [...shape])
    );
  }

  /** What follows a step: constraints of weights, and the moving averages of batch normalisations. */
  #applyAfterStep(moving: readonly Moving[]): void {
    const { tf, trained } = this.#parts;
    tf.tidy(() => {
      for (const { variable, constraint } of trained) {
        if (constraint) variable.assign(constraint.apply(variable));
      }
      for (const { variable, statistic, momentum } of moving) {
        variable.assign(tf.add(tf.mul(variable, momentum), tf.mul(statistic, 1 - momentum)));
      }
    });
  }

  /** @throws {TrainingError} if a loss is no finite number */
  async #readLosses(losses: EpochLosses, step: number): Promise<void> {
    const invalid = await losses.read();
    this.#recent = losses.recent;
    if (!invalid) return;
    throw new TrainingError(
      `The loss became ${invalid.loss} in epoch ${this.#epoch + 1}, step ${step + 1 - invalid.stepsAgo} of ` +
        `${this.#stepsPerEpoch}. Lower the learningRate (${this.#parts.recipe.learningRate} here), and begin ` +
        `anew with from: "scratch": the weights are spoilt.`,
    );
  }

  /** @throws {TrainingError} if a weight is no finite number */
  async #refuseInvalidWeights(): Promise<void> {
    const { tf, trained, recipe } = this.#parts;
    const invalid = await firstInvalid(tf, trained.map(({ name, variable }) => ({ name, value: variable })));
    if (invalid === undefined) return;
    throw new TrainingError(
      `The weights ${JSON.stringify(invalid)} are no longer numbers after epoch ${this.#epoch + 1}. Lower the ` +
        `learningRate (${recipe.learningRate} here), and begin anew with from: "scratch".`,
    );
  }

  /** Reports where the run is, and lets timers and signals have their turn. */
  async #pause(): Promise<void> {
    const { spec, recipe, training, weights } = this.#parts;
    const done = Math.round((this.#epoch + this.#share) * training.count);
    spec.onProgress?.(done, recipe.epochs * training.count);
    await this.#watcher.onMoment?.({
      history: this.#history(),
      epoch: this.#epoch + 1,
      share: this.#share,
      loss: this.#recent.loss,
      ...this.#scored(this.#recent.score, "accuracy", "error"),
      peek: () => this.#snapshot(this.#epoch, new Map([...weights].filter(isKernel).slice(0, 1))),
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#paused = performance.now();
  }

  /** How the network does on the validation images, NaN where there are none; null if it was aborted. */
  async #validate(): Promise<Evaluation | null> {
    const { model, output, validation, spec: { signal } } = this.#parts;
    if (!validation) return { loss: NaN, score: NaN };
    const { classes, targets } = validation;
    const targetOf = (index: number) => targets?.values[index] ?? Float32Array.of(classes[index]);
    try {
      return await evaluate(model, output, inputsOf(model, validation), targetOf, { signal });
    } catch (error) {
      if (signal?.aborted) return null;
      throw error;
    }
  }

  /** Records what the layers do after the epoch, and keeps a snapshot if one is wanted. */
  async #measureLayers(): Promise<void> {
    const { model, recipe } = this.#parts;
    const count = Math.min(WATCHED_IMAGES, this.#watched.count);
    const states = await observe(model, [...inputsOf(model, this.#watched, count)], this.#layers, false);
    const epoch = this.#epoch;
    this.#record.layers.push(...states.map(({ layer, sparsity, dead }) => ({ epoch, layer, sparsity, dead })));
    if (recipe.snapshots.includes(epoch)) await this.#keepSnapshot(epoch);
  }

  async #keepSnapshot(epoch: number): Promise<void> {
    const { snapshots } = this.#record;
    if (snapshots.at(-1)?.epoch !== epoch) snapshots.push(await this.#snapshot(epoch, this.#parts.weights));
  }

  async #snapshot(epoch: number, variables: ReadonlyMap<string, Variable>): Promise<Snapshot> {
    const { model } = this.#parts;
    const weights = await download(variables);
    const states = await observe(model, [model.input(this.#probe)], this.#layers, true);
    return { epoch, weights, activations: Object.fromEntries(states.map(({ layer, maps }) => [layer, maps!])) };
  }

  #names(): SavedState["names"] {
    return { weights: [...this.#parts.weights.keys()], layers: [...this.#layers] };
  }

  /** All variables that a checkpoint holds, in their order and with their names. */
  #variables(): [string, Variable][] {
    const { weights, optimizer } = this.#parts;
    const under = (kind: string, variables: ReadonlyMap<string, Variable>) =>
      [...variables].map(([name, variable]): [string, Variable] => [`${kind}/${name}`, variable]);
    return [...under("weights", weights), ...under("slots", optimizer.slots)];
  }

  async #save(path: string): Promise<void> {
    const { state, arrays } = this.#record.save();
    const variables = await download(new Map(this.#variables()));
    await writeCheckpoint(path, {
      run: identityOf(this.#parts),
      state: {
        epoch: this.#epoch,
        schedule: this.#schedule.state,
        start: this.#start,
        names: this.#names(),
        ...state,
      } satisfies SavedState,
      arrays: new Map([...Object.entries(variables), ...arrays]),
    });
  }

  /** Goes on from a checkpoint; false if there is none. */
  async #resume(path: string): Promise<boolean> {
    const { tf, recipe } = this.#parts;
    const checkpoint = await readCheckpoint(path);
    if (!checkpoint) return false;
    checkSameRun(path, checkpoint.run, identityOf(this.#parts));
    const state = checkpoint.state as SavedState;
    if (state.epoch > recipe.epochs) {
      throw new CheckpointError(
        `The checkpoint ${path} has ${state.epoch} epochs behind it: received epochs: ${recipe.epochs}. Ask for as many ` +
          `or more, name another file, or remove this one to start anew.`,
      );
    }
    // Names may have changed since then; the order has not.
    const arrays = [...checkpoint.arrays.values()];
    tf.tidy(() => {
      for (const [i, [, variable]] of this.#variables().entries()) {
        variable.assign(tf.tensor(arrays[i].data, [...arrays[i].shape]));
      }
    });
    Object.assign(this.#schedule.state, state.schedule);
    this.#record.restore(state, checkpoint.arrays, this.#names());
    this.#epoch = state.epoch;
    this.#start = state.start ?? { from: "new", before: [] };
    return true;
  }
}

/** Whether a weight is the kernel of a convolution. */
function isKernel([, { shape }]: [string, Variable]): boolean {
  return shape.length === 4;
}
