/**
 * What a model puts out, and what the numbers mean: probabilities of classes, of two classes, of independent labels, plain
 * numbers, or maps. All methods ask here.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf, softmax } from "../array.ts";
import { kindOf, unknownName } from "../errors.ts";
import { arrayOf, checkArray, oneOf, readOptions, rule } from "../options.ts";
import { operatorsOf } from "./formats/build.ts";
import { graphOf, traceAnySize, waysTo } from "./graph.ts";
import { endingOf, type HeadOptions, SOFT } from "./ending.ts";

/**
 * What the numbers of an output are:
 * - `"classes"`: one number a class, of which one is right: a softmax, or logits;
 * - `"binary"`: one number for two classes, which is, or becomes by a sigmoid, the probability of class 1;
 * - `"labels"`: one number a label, each right or wrong for itself: sigmoids;
 * - `"numbers"`: numbers that are no probabilities, as of a regression;
 * - `"map"`: more than a vector, as one answer a pixel: {@linkcode ModelOutput.each} says what the numbers at each place are.
 */
export type OutputKind = "classes" | "binary" | "labels" | "numbers" | "map";

const EACH = ["classes", "binary", "labels", "numbers"] as const;
const KINDS: readonly OutputKind[] = [...EACH, "map"];

/** Which of a network's outputs is looked at, and what its numbers are, where the network does not show it. */
export class OutputOptions {
  /**
   * The name of the layer that makes the output, or its index among the outputs.
   * @default 0
   */
  @rule((name, value) => {
    if (typeof value === "string" || Number.isInteger(value)) return;
    throw new TypeError(`${name} must be a layer's name or the index of an output: received ${kindOf(value)}.`);
  })
  layer?: string | number;
  /**
   * What its numbers are.
   * @default what the graph shows; several linear outputs are classes if the model has as many labels, or was compiled with
   *   a cross-entropy loss, and else numbers
   */
  @oneOf(...KINDS)
  kind?: OutputKind;
  /**
   * What the network ends with, where that cannot be seen: in a custom layer. With `"linear"`, classes and labels are taken
   * for logits.
   * @default what the graph shows
   */
  @oneOf("softmax", "sigmoid", "linear")
  activation?: "softmax" | "sigmoid" | "linear";
  /**
   * Of maps: what the numbers at each place are.
   * @default what the graph shows, by the same rules as `kind`
   */
  @oneOf(...EACH)
  each?: Exclude<OutputKind, "map">;
  /**
   * What its classes, labels or numbers are called.
   * @default of the output that is looked at, the model's labels
   */
  @arrayOf("strings")
  labels?: readonly string[];
  /**
   * The unit of its numbers, as `"years"`; or one for each of them.
   * @default none
   */
  @rule((name, value) => {
    if (typeof value === "string" || (Array.isArray(value) && value.every((unit) => typeof unit === "string"))) return;
    throw new TypeError(`${name} must be a unit, as "years", or an array of units: received ${kindOf(value)}.`);
  })
  unit?: string | readonly string[];
}

/** An output as `loadModel` takes it: the name of its layer, its index, its kind, or several of these. */
export type OutputWanted = string | number | Partial<OutputOptions>;

/** What `loadModel` is told of the outputs: one, or several, of which the first is looked at. */
export type OutputsWanted = OutputWanted | readonly OutputWanted[];

/** The name of the loss that an output was compiled with; empty where it was not. */
function lossOf(network: LayersModel, index: number): string {
  const { loss, outputNames } = network as unknown as { loss?: unknown; outputNames: string[] };
  const all = loss as Record<string, unknown> | undefined;
  const own = typeof loss === "object" && loss ? all![Array.isArray(loss) ? index : outputNames[index]] : loss;
  return typeof own === "function" ? own.name : String(own ?? "");
}

/** What some linear outputs are, by the loss that they were compiled with and the labels that they have. */
function linearKind(count: number, loss: string, labels: readonly unknown[] | null): Exclude<OutputKind, "map"> {
  if (/sigmoidCrossEntropy|binaryCrossentropy/i.test(loss)) return count === 1 ? "binary" : "labels";
  if (/softmaxCrossEntropy|categoricalCrossentropy/i.test(loss) && count > 1) return "classes";
  if (loss || !labels) return "numbers";
  return count === 1 ? labels.length === 2 ? "binary" : "numbers" : labels.length === count ? "classes" : "numbers";
}

/** Reads the option `output`: a kind's name, the name of an output's layer, its index, or an object of these. */
function readWanted(network: LayersModel, wanted: OutputWanted): OutputOptions {
  if (typeof wanted === "number") return readOptions("output", OutputOptions, { layer: wanted });
  if (typeof wanted !== "string") return readOptions("output", OutputOptions, wanted);
  const names = namesOf(network);
  const isKind = (KINDS as readonly string[]).includes(wanted) && !(names.length > 1 && names.includes(wanted));
  return isKind ? { kind: wanted as OutputKind } : { layer: wanted };
}

/** The network's own layer that makes an output: a Sequential of one model hands on that model's own tensor. */
function layerOf({ layers }: LayersModel, tensor: SymbolicTensor): layers.Layer {
  const { sourceLayer, outputTensorIndex = 0 } = tensor;
  const operator = operatorsOf(sourceLayer)?.[outputTensorIndex];
  if (operator) return operator;
  if (layers.includes(sourceLayer)) return sourceLayer;
  return layers.findLast((layer) => graphOf(layer)?.outputs.some(({ id }) => id === tensor.id)) ?? sourceLayer;
}

/** The name of each output: its layer's, with a number behind it where a layer makes several. */
function namesOf(network: LayersModel): string[] {
  const layers = network.outputs.map((tensor) => layerOf(network, tensor).name);
  return layers.map((name, i) => {
    if (layers.indexOf(name) === layers.lastIndexOf(name)) return name;
    return `${name}:${layers.slice(0, i + 1).filter((other) => other === name).length}`;
  });
}

/**
 * The first output from which no other is computed: where every layer is an output, as in networks that were made to be
 * looked into, that is the end.
 */
function lastOf(network: LayersModel): number {
  const { outputs } = traceAnySize(network);
  const within = waysTo(outputs.flatMap(({ inputs }) => inputs));
  return Math.max(0, outputs.findIndex((output) => !within.has(output)));
}

function indexOf(network: LayersModel, model: string, layer: string | number = lastOf(network)): number {
  const { outputs } = network;
  if (typeof layer === "number") {
    if (layer >= 0 && layer < outputs.length) return layer;
    throw new RangeError(
      `The model ${JSON.stringify(model)} has ${outputs.length} output${
        outputs.length > 1 ? "s" : ""
      }, counted from 0: ` +
        `received the output ${layer}.`,
    );
  }
  const names = namesOf(network);
  const index = names.indexOf(layer);
  if (index >= 0) return index;
  throw unknownName("output or kind of output", layer, [...names, ...KINDS], `model ${JSON.stringify(model)}`);
}

/**
 * @returns the labels as text: numbers are taken as they are written
 * @throws {TypeError} if one is neither a string nor a number
 */
export function checkLabels(model: string, labels: unknown): string[] {
  checkArray(`The labels of the model ${JSON.stringify(model)}`, labels, "strings");
  return (labels as readonly unknown[]).map((label, i) => {
    if (typeof label === "string" || Number.isFinite(label)) return String(label);
    throw new TypeError(
      `The labels of the model ${JSON.stringify(model)} are strings: received ${kindOf(label)} as the label of ` +
        `index ${i}.`,
    );
  });
}

const sigmoid = (score: number) => 1 / (1 + Math.exp(-score));

/** The axes of maps, without their channels, and how many numbers there are at each place. Axes are null where they depend on the image. */
function gridOf(network: LayersModel, shape: readonly (number | null)[]): { cells: (number | null)[]; count: number } {
  const [height, width] = network.inputs[0].shape.slice(1);
  if (shape.length === 2 && network.inputs[0].shape.length === 4 && height && width) {
    // Maps of one channel without its axis, and maps whose places stand in one row.
    if (shape[0] === height && shape[1] === width) return { cells: [height, width], count: 1 };
    if (shape[0] === height * width) return { cells: [height, width], count: shape[1] ?? 0 };
  }
  return { cells: shape.slice(0, -1), count: shape.at(-1) ?? 0 };
}

/**
 * Whether maps are numbers whatever activation makes them: they were compiled so, or they are as large and have as many
 * colours as the image, as those of an autoencoder, or those of a decoder.
 */
function isPicture(network: LayersModel, cells: readonly (number | null)[], count: number, loss: string): boolean {
  if (/mean|squared|absolute|\b(mse|mae)\b|huber|logCosh/i.test(loss)) return true;
  if (loss) return false;
  // What is made of numbers alone, by as many channels as a picture has, is one.
  if (network.inputs.every(({ shape }) => shape.length === 2)) {
    return cells.length === 2 && (count === 1 || count === 3);
  }
  return count === 3 && [...cells, count].join() === network.inputs[0].shape.slice(1).join();
}

/** What a model puts out, and what its numbers are. */
export class ModelOutput {
  /** What the numbers are. */
  readonly kind: OutputKind;
  /** What the numbers at each place of a map are; of a vector the same as `kind`. */
  readonly each: Exclude<OutputKind, "map">;
  /** Its name: that of its layer, with `:1`, `:2` … behind it where a layer makes several outputs. */
  readonly name: string;
  /**
   * The axes of a map, `[h, w]`, null where one depends on the image; of a vector none.
   */
  readonly cells: readonly (number | null)[];
  /**
   * The activation that they come from: `"softmax"`, `"sigmoid"`, `"linear"`, `"tanh"`, …; `"unknown"` where it cannot be
   * seen from outside, as in a custom layer.
   */
  readonly activation: string;
  /** The name of the layer that makes the output. */
  readonly layer: string;
  /** Its place among the outputs of the network, which may have several. */
  readonly index: number;
  /** How many numbers the network puts out; of maps, at each place. */
  readonly count: number;
  /**
   * The name of each thing that can be asked for by its index: the model's labels; without them `"class 3"`, `"label 3"` or
   * `"output 3"`. Of a binary output both classes'.
   */
  readonly labels: readonly string[];
  /**
   * Whether what is explained are logits, the numbers before the last softmax or sigmoid; else it is the output itself, as
   * of an average of several softmaxes.
   */
  readonly logits: boolean;
  /** @internal Its labels as they were given; null where none were. */
  readonly given: readonly string[] | null;
  /** @internal Where the scores are made. */
  readonly head: HeadOptions;
  readonly #model: string;
  readonly #shape: readonly (number | null)[];
  /** @internal What makes a copy's output the same: as `loadModel` takes it. */
  readonly wanted: OutputWanted;
  /** How many outputs the network has. */
  readonly #of: number;
  readonly #units: readonly string[];
  /** What makes logits into probabilities; null where there are none. */
  readonly #link: "softmax" | "sigmoid" | null;
  /** Whether what it ends with cannot be seen, and was given by the user. */
  readonly #isHidden: boolean;
  /** Whether the network itself puts out logits. */
  readonly #raw: boolean;

  /**
   * @internal
   * @throws {RangeError} if there is no such output, it cannot be of the kind, or the labels are not as many
   * @throws {TypeError} if an option is unknown or of a wrong type
   */
  constructor(network: LayersModel, model: string, labels: readonly string[] | null, output: OutputWanted = {}) {
    const wanted = readWanted(network, output);
    this.#model = model;
    this.#of = network.outputs.length;
    this.index = indexOf(network, model, wanted.layer);
    const tensor = network.outputs[this.index];
    this.layer = layerOf(network, tensor).name;
    this.name = namesOf(network)[this.index];
    this.#shape = tensor.shape.slice(1);
    const ending = endingOf(traceAnySize(network).outputs[this.index]);
    this.activation = ending.activation === "unknown" ? wanted.activation ?? "unknown" : ending.activation;
    this.#isHidden = ending.activation === "unknown";
    const isVector = !this.#shape.includes(null) && this.#shape.filter((side) => side !== 1).length <= 1;
    const { cells, count } = isVector
      ? { cells: [], count: sizeOf(this.#shape as number[]) }
      : gridOf(network, this.#shape);
    this.cells = cells;
    this.count = count;
    // Several softmaxes side by side are not one.
    const isWhole = SOFT.test(ending.activation)
      ? ending.axis !== undefined && tensor.shape[ending.axis] === this.count &&
        (isVector || ending.axis === this.#shape.length)
      : true;
    const named = wanted.labels ? checkLabels(model, wanted.labels) : labels;
    const own = isVector ? wanted.kind : wanted.each;
    const loss = lossOf(network, this.index);
    const guessed = !isVector && !named && !SOFT.test(this.activation) && isPicture(network, cells, count, loss)
      ? "numbers"
      : undefined;
    this.each = this.#kindOf(own === "map" ? undefined : own ?? guessed, isWhole, loss, named);
    this.kind = isVector ? this.each : "map";
    this.#check(wanted, isWhole);
    const isProbable = this.each !== "numbers";
    const link = SOFT.test(this.activation) ? "softmax" : this.activation === "sigmoid" ? "sigmoid" : null;
    this.#link = isProbable ? link ?? (this.each === "classes" ? "softmax" : "sigmoid") : null;
    this.#raw = isProbable && this.activation !== "softmax" && this.activation !== "sigmoid";
    this.logits = isProbable && (ending.exact || this.#raw);
    this.head = { index: this.index, bare: isProbable };
    this.given = named;
    this.labels = this.#named(named);
    this.#units = this.#unitsOf(wanted.unit);
    this.wanted = {
      layer: this.index,
      kind: this.kind,
      activation: wanted.activation,
      ...!isVector && { each: this.each },
      ...wanted.labels && { labels: wanted.labels },
      ...wanted.unit !== undefined && { unit: wanted.unit },
    };
  }

  #kindOf(
    wanted: Exclude<OutputKind, "map"> | undefined,
    isWhole: boolean,
    loss: string,
    labels: readonly string[] | null,
  ): Exclude<OutputKind, "map"> {
    if (wanted) return wanted;
    if (SOFT.test(this.activation)) return isWhole ? "classes" : "numbers";
    if (this.activation === "sigmoid") return this.count === 1 ? "binary" : "labels";
    return this.activation === "linear" ? linearKind(this.count, loss, labels) : "numbers";
  }

  /** @throws {RangeError} if the output cannot be of the kind that was asked for, or ends otherwise */
  #check({ kind: asked, each, activation }: OutputOptions, isWhole: boolean): void {
    const found = `${this.#quoted} puts out ${this.shapeText} (${this.activation})`;
    if (activation && activation !== this.activation) {
      throw new RangeError(`${found}: received the activation ${JSON.stringify(activation)}.`);
    }
    const isMap = this.kind === "map";
    if (asked && isMap !== (asked === "map")) {
      const is = isMap
        ? `maps, so its kind is "map"; say what each place is by each: ${JSON.stringify(asked)}`
        : `one vector, which is no map`;
      throw new RangeError(`${found}: that is ${is}; received the kind ${JSON.stringify(asked)}.`);
    }
    if (each && !isMap) {
      throw new RangeError(`${found}: that is one vector, of which kind says what it is; received each: "${each}".`);
    }
    const kind = isMap ? each : asked;
    if (!kind) return;
    const refused = kind === "numbers"
      ? null
      : this.activation === "unknown"
      ? `what its layer ends with cannot be seen. Say it, too, as output: { ${isMap ? "each" : "kind"}: ${
        JSON.stringify(kind)
      }, activation: "${kind === "classes" ? "softmax" : "sigmoid"}" }, or "linear" for logits`
      : !isWhole || kind !== "classes" && SOFT.test(this.activation)
      ? `wanted "${isWhole ? "classes" : "numbers"}"`
      : kind === "binary" && this.count !== 1
      ? `binary is one number for two classes; wanted "classes" or "labels"`
      : kind === "classes" && this.count === 1 && !SOFT.test(this.activation)
      ? `one number is no class; wanted "binary" or "numbers"`
      : null;
    if (refused) throw new RangeError(`${found}: received the kind ${JSON.stringify(kind)}; ${refused}.`);
  }

  /** @throws {RangeError} if the units are not as many as the numbers, or there are no numbers */
  #unitsOf(unit: string | readonly string[] = []): readonly string[] {
    if (unit.length > 0 && this.each !== "numbers") {
      throw new RangeError(`${this.#quoted} puts out ${this.nouns}, which have no unit: received ${kindOf(unit)}.`);
    }
    if (typeof unit === "string") return new Array(this.count).fill(unit);
    if (unit.length === 0 || unit.length === this.count) return unit;
    throw new RangeError(`${this.#quoted} puts out ${this.count} numbers: received ${unit.length} units.`);
  }

  /** @throws {RangeError} if the labels are not as many as the outputs */
  #named(labels: readonly string[] | null): string[] {
    if (this.each === "binary" && labels) {
      if (labels.length === 2) return [...labels];
      if (labels.length === 1) return [`not ${labels[0]}`, labels[0]];
      throw new RangeError(
        `${this.#quoted} has one output for two classes: received ${labels.length} labels; wanted 2, or 1 for what it ` +
          `finds.`,
      );
    }
    if (labels && labels.length !== this.count) {
      const has = this.kind === "map"
        ? `puts out maps of ${this.count} channels`
        : this.#of > 1
        ? `puts out ${this.count} numbers`
        : `has ${this.count} outputs`;
      throw new RangeError(`${this.#quoted} ${has}: received ${labels.length} labels.`);
    }
    if (labels) return [...labels];
    const count = this.each === "binary" ? 2 : this.count;
    return Array.from({ length: count }, (_, i) => `${this.noun} ${i}`);
  }

  /** The output by name, for messages. */
  get #quoted(): string {
    const model = `he model ${JSON.stringify(this.#model)}`;
    return this.#of > 1 ? `The output ${JSON.stringify(this.name)} of t${model}` : `T${model}`;
  }

  /** @internal The shape for one image, for messages. */
  get shapeText(): string {
    return `[${this.#shape.map((side) => side ?? "?").join(", ")}]`;
  }

  /** What one of its numbers stands for: `"class"`, `"label"` or `"output"`. */
  get noun(): "class" | "label" | "output" {
    return this.each === "classes" || this.each === "binary" ? "class" : this.each === "labels" ? "label" : "output";
  }

  /** As {@linkcode noun}, for several. */
  get nouns(): string {
    return this.noun === "class" ? "classes" : `${this.noun}s`;
  }

  /** What it is, in a few words for captions, as `10 classes (softmax)`. */
  get text(): string {
    const { count, kind } = this;
    const numbers = count.toLocaleString("en-US");
    const by = this.#raw && this.activation === "linear" ? "logits" : this.activation;
    const plural = count === 1 ? "" : "s";
    const words: Record<OutputKind, string> = {
      classes: `${numbers} class${plural && "es"} (${by})`,
      binary: `two classes by one number (${by})`,
      labels: `${numbers} independent label${plural} (${by})`,
      numbers: `${numbers} number${plural} (${by}), no probabilit${plural ? "ies" : "y"}`,
      map: `maps of ${numbers} channel${plural} (${by})`,
    };
    return this.#of > 1 ? `${words[kind]}${this.which}, one of ${this.#of}` : words[kind];
  }

  /** Where its probabilities or numbers come from, in words: `softmax`, or, where the network puts out logits, `softmax of logits`. */
  get reading(): string {
    if (!this.#raw) return this.activation;
    return `${this.#link} of ${/^(linear|logSoftmax|unknown)$/.test(this.activation) ? "logits" : this.activation}`;
  }

  /** What captions say of the scores, where they are no logits; else empty. */
  get note(): string {
    if (this.logits || !this.#link) return "";
    if (this.#isHidden) return "The score is the probability itself: what its layer makes it of cannot be seen.";
    const several = this.#link === "softmax" ? "softmaxes" : "sigmoids";
    return `The score is the probability itself: no logits stand behind a mean of several ${several}.`;
  }

  /** Which of several outputs it is, as `, of the output "age"`; empty where there is one. */
  get which(): string {
    return this.#of > 1 ? `, of the output ${JSON.stringify(this.name)}` : "";
  }

  /** Of maps, what there is at each place, in words; else empty. */
  get eachText(): string {
    if (this.kind !== "map") return "";
    const words = {
      classes: `the probabilities of ${this.count} classes`,
      binary: "the probability of the second of two classes",
      labels: `${this.count} independent label${this.count === 1 ? "" : "s"}`,
      numbers: `${this.count} number${this.count === 1 ? "" : "s"}, no probabilit${this.count === 1 ? "y" : "ies"}`,
    };
    return `at each place ${words[this.each]}`;
  }

  /** The unit of one of its numbers with a space before it; empty where there is none. */
  unitOf(index: number): string {
    return this.#units[index] ? ` ${this.#units[index]}` : "";
  }

  /**
   * The index of a label.
   *
   * @throws {RangeError} if there is none of this name (the nearest are named), or several
   * @throws {TypeError} if the model has no labels
   */
  indexOf(label: string): number {
    if (!this.given) {
      throw new TypeError(
        `The model ${JSON.stringify(this.#model)} has no labels: received the target ${JSON.stringify(label)}. ` +
          `Give an index, 0 to ${this.labels.length - 1}, or load the model with labels.`,
      );
    }
    const same = this.labels.flatMap((own, i) => own === label ? [i] : []);
    if (same.length === 0) throw unknownName("label", label, this.labels, `model ${JSON.stringify(this.#model)}`);
    if (same.length === 1) return same[0];
    throw new RangeError(
      `The label ${JSON.stringify(label)} names the ${this.nouns} ${same.join(" and ")} of ${
        JSON.stringify(this.#model)
      }. ` +
        `Give the index of one of them.`,
    );
  }

  /**
   * For what can be asked of vectors only.
   *
   * @param remedy what to do instead, as a sentence
   * @throws {TypeError} if the output is maps
   */
  checkVector(remedy: string): void {
    if (this.kind !== "map") return;
    throw new TypeError(`${this.#quoted} puts out ${this.shapeText}, not one number a class or output. ${remedy}`);
  }

  /**
   * One image's numbers as probabilities, one for each label, of maps one for each place and label; null where they are
   * none.
   *
   * @param values what the network put out, or the scores
   */
  probabilities(values: ArrayLike<number>, of: "outputs" | "scores" = "outputs"): Float64Array | null {
    if (!this.#link) return null;
    const isRaw = of === "scores" ? this.logits : this.#raw;
    if (this.each === "binary") {
      const both = new Float64Array(2 * values.length);
      for (let i = 0; i < values.length; i++) {
        const value = values[i];
        both[2 * i] = isRaw ? sigmoid(-value) : 1 - value;
        both[2 * i + 1] = isRaw ? sigmoid(value) : value;
      }
      return both;
    }
    const all = Float64Array.from(values);
    if (!isRaw) return all;
    if (this.#link === "sigmoid") return all.map(sigmoid);
    for (let at = 0; at < all.length; at += this.count) all.set(softmax(all.subarray(at, at + this.count)), at);
    return all;
  }

  /**
   * The {@linkcode values} for results that must show numbers.
   *
   * @param of the image's name
   * @throws {RangeError} if one of them is no number
   */
  finiteValues(values: ArrayLike<number>, of: string): Float64Array {
    const found = this.values(values);
    if (found.every(Number.isFinite)) return found;
    const bad = Array.from(values).find((value) => !Number.isFinite(value)) ?? NaN;
    throw new RangeError(
      `${this.#quoted} puts out ${bad} for ${
        JSON.stringify(of)
      }: a weight, or what is made of it, is no 32-bit number.`,
    );
  }

  /** One image's numbers as they are shown, one for each label, of maps at each place: probabilities where they are any. */
  values(values: ArrayLike<number>, of: "outputs" | "scores" = "outputs"): Float64Array {
    return this.probabilities(values, of) ?? Float64Array.from(values);
  }

  /** One image's scores, one for each label, of maps at each place: of two classes by one number, both. */
  scores(scores: ArrayLike<number>): ArrayLike<number> {
    if (this.each !== "binary") return scores;
    const both = new Float64Array(2 * scores.length);
    for (let i = 0; i < scores.length; i++) {
      both[2 * i] = this.logits ? -scores[i] : 1 - scores[i];
      both[2 * i + 1] = scores[i];
    }
    return both;
  }

  /**
   * As {@linkcode values}, one for each label; of maps the mean over some places, by their weights.
   *
   * @param weights one for each place, of the sum 1; null for a vector
   */
  valuesOver(
    numbers: ArrayLike<number>,
    weights: ArrayLike<number> | null,
    of: "outputs" | "scores" = "outputs",
  ): ArrayLike<number> {
    return this.#over(numbers, weights, (own) => this.values(own, of));
  }

  /** As {@linkcode scores}, one for each label; of maps the mean over some places, by their weights. */
  scoresOver(scores: ArrayLike<number>, weights: ArrayLike<number> | null): ArrayLike<number> {
    return this.#over(scores, weights, (own) => this.scores(own));
  }

  #over(
    numbers: ArrayLike<number>,
    weights: ArrayLike<number> | null,
    read: (numbers: ArrayLike<number>) => ArrayLike<number>,
  ): ArrayLike<number> {
    if (!weights) return read(numbers);
    const sums = new Float64Array(this.labels.length);
    const own = new Float64Array(this.count);
    for (let cell = 0; cell < weights.length; cell++) {
      if (weights[cell] === 0) continue;
      for (let i = 0; i < own.length; i++) own[i] = numbers[cell * own.length + i];
      const values = read(own);
      for (let i = 0; i < sums.length; i++) sums[i] += weights[cell] * values[i];
    }
    return sums;
  }

  /** The index of the largest of some numbers as {@linkcode values} or {@linkcode scores} gives them: what is predicted. */
  predicted(values: ArrayLike<number>): number {
    let best = 0;
    for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
    return best;
  }

  /** Of maps of classes: the index of what is predicted at each place. */
  answers(numbers: ArrayLike<number>, of: "outputs" | "scores" = "outputs"): Float32Array {
    const { count } = this;
    if (this.each === "binary") {
      const half = (of === "scores" ? this.logits : this.#raw) ? 0 : 0.5;
      return Float32Array.from(numbers, (value) => Number(value > half));
    }
    const answers = new Float32Array(numbers.length / count);
    for (let cell = 0; cell < answers.length; cell++) {
      let best = 0;
      for (let i = 1; i < count; i++) if (numbers[cell * count + i] > numbers[cell * count + best]) best = i;
      answers[cell] = best;
    }
    return answers;
  }
}

/**
 * Reads what a user says of a network's outputs.
 *
 * @param labels those of the output that is looked at
 * @returns all of them, and the one that is looked at
 * @throws {RangeError} if there is no such output, one is named twice, or as {@linkcode ModelOutput} does
 */
export function readOutputs(
  network: LayersModel,
  model: string,
  labels: readonly string[] | null,
  wanted: OutputsWanted = {},
): { output: ModelOutput; outputs: ModelOutput[] } {
  const given = Array.isArray(wanted) ? wanted as readonly OutputWanted[] : [wanted as OutputWanted];
  const told = given.map((one, i) => new ModelOutput(network, model, i === 0 ? labels : null, one));
  const twice = told.find(({ index }, i) => told.findIndex((other) => other.index === index) < i);
  if (twice) {
    throw new RangeError(`output names the output ${JSON.stringify(twice.name)} of ${JSON.stringify(model)} twice.`);
  }
  const outputs = network.outputs.map((_, index) =>
    told.find((one) => one.index === index) ?? new ModelOutput(network, model, null, { layer: index })
  );
  return { output: told[0] ?? outputs[0], outputs };
}
