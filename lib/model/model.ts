/**
 * A ConvNet with what belongs to it: its labels, its preprocessing, its table of layers.
 *
 * @module
 */

import { checkLayers, isReplaced } from "../runtime/layers/layers.ts";
import type { LayersModel } from "../runtime/tensorflow_types.ts";
import { ndarray, type NdArrayLike, sizeOf } from "../array.ts";
import { type GivenPart, type InputArray, mainPart, pictureOf, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import type { ReceptiveField } from "../data/records.ts";
import { type TrainingStart, type TrainingSummary, trainingText } from "../data/history.ts";
import { bandsNote, oddPixels, setPixelRemark } from "../data/pixels.ts";
import { kindOf } from "../errors.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { drawSilhouette } from "../figure/silhouette.ts";
import { checkLabels, type ModelOutput, type OutputsWanted, readOutputs } from "./output.ts";
import { disposeNetwork, hadChannelsFirst } from "./formats/build.ts";
import { asTheyAre, checkPreprocess, describePreprocess, type Preprocess, preprocess } from "./preprocess.ts";
import { checkShapes, type Entry, entryOf, mainInput, shapeText, traceAnySize, type Use, waysTo } from "./graph.ts";
import { receptiveFields, receptiveFieldText } from "./receptive_field.ts";
import { saveModel } from "./saved.ts";
import {
  channelsBehind,
  inputsOf,
  lookedAt,
  ModelView,
  type NetworkInput,
  partsFor,
  viewOfArray,
  viewOfPicture,
  withColumns,
} from "./view.ts";
import { checkWeights } from "./weights.ts";

/** One layer of a model, as its table shows it. */
export interface LayerInfo {
  /**
   * The layer's name; in a nested model with that one's name before it, as `"features/conv1"`. A layer that is used several
   * times stands here once for each use: by its name, then as `"conv:2"`, `"conv:3"`, …
   */
  readonly name: string;
  /** The layer's type, as Keras spells it: `"Conv2D"`, `"MaxPooling2D"`, … */
  readonly kind: string;
  /**
   * The shape of its output for one image: `[h, w, c]` or `[n]`; `null` where it depends on the input.
   */
  readonly outputShape: readonly (number | null)[];
  /** How many weights it has, those that training leaves alone counted in. */
  readonly params: number;
  /** How often the network, or the nested model that holds it, uses it. */
  readonly uses: number;
  /** Which of these uses this is, counted from 1. */
  readonly use: number;
  /** Whether it is a model in itself, or a TimeDistributed: the layers that it is made of follow it. */
  readonly isModel: boolean;
  /** What one cell sees of the image; `null` where that has no meaning (dense layers, global pooling). */
  readonly receptiveField: ReceptiveField | null;
}

/** What belongs to a network. */
export interface ModelOptions {
  /** The model's name in figures. */
  name: string;
  /** The name of each output class, or `null` if the model has none. */
  labels: readonly string[] | null;
  /** How the network wants its pixels. */
  preprocess: Preprocess;
  /** The layer by which the network scales its pixels itself. @default none */
  scaledBy?: string | null;
  /** Which of its outputs is looked at, and what the numbers are; or several. @default the first one that no other is computed from */
  output?: OutputsWanted;
  /** Which of its inputs is asked about. @default the first image */
  input?: string;
  /** The runs of `train` that its weights come from. @default none */
  training?: readonly TrainingSummary[];
  /** Whether its weights were read from a file. @default false */
  loaded?: boolean;
}

/**
 * @param asker the function that wants a model, as `"saliency"`
 * @throws {TypeError} if it is none
 */
export function checkModel(asker: string, model: unknown): asserts model is Model {
  if (model instanceof Model) return;
  const { predict, layers } = (model ?? {}) as Partial<LayersModel>;
  const found = typeof predict === "function" && Array.isArray(layers)
    ? "a tf.LayersModel, which loadModel makes one of"
    : kindOf(model);
  throw new TypeError(`${asker} wants a model, as await loadModel("resnet50") gives one: received ${found}.`);
}

/** @throws {TypeError} if a model has been disposed of */
function checkThere(asker: string, { name, disposed }: Model): void {
  if (!disposed) return;
  throw new TypeError(
    `${asker} wants a model that is there: ${JSON.stringify(name)} has been disposed of. Load it again.`,
  );
}

/**
 * Whether a model can be asked: the one check of all methods, once their options are read.
 *
 * @param asker the function that asks it, as `"saliency"`
 * @param weights whether its weights count: not where they are about to be made anew
 * @throws {TypeError} if it has been disposed of
 * @throws {ModelError} if a weight is no number
 */
export async function checkReady(asker: string, model: Model, { weights = true } = {}): Promise<void> {
  checkThere(asker, model);
  if (weights) await checkWeights(await ensureBackend(), model.network, model.name);
}

/** Layers that read what lies along a line. */
const SEQUENTIAL = /1D|LSTM|GRU|RNN|Bidirectional|TimeDistributed|Attention/;

/** A number with its thousands set apart. */
const count = (value: number) => value.toLocaleString("en-US");

/** A network that convlens can look into. Made by `loadModel`; in a cell it shows its table of layers. */
export class Model extends Shown {
  /** What figures call the model. */
  readonly name: string;
  /** The name of each output class, or `null` if the model has none. */
  readonly labels: readonly string[] | null;
  /** What the network puts out: classes, labels, numbers or maps. Of several outputs the one that is looked at. */
  readonly output: ModelOutput;
  /** All outputs of the network, in its order; {@linkcode output} is one of them. */
  readonly outputs: readonly ModelOutput[];
  /** How the network wants its pixels. */
  readonly preprocess: Preprocess;
  /** The layers in the order in which they run. */
  readonly layers: readonly LayerInfo[];
  /** The inputs of the network, in its order. */
  readonly inputs: readonly NetworkInput[];
  /**
   * `[height, width, channels]` of the input that is asked about, the first image of several inputs; `null` for a side that
   * may have any length.
   */
  readonly inputShape: readonly (number | null)[];
  /** The TensorFlow.js model itself. convlens never changes it, but for its weights when it is trained. */
  readonly network: LayersModel;
  readonly #loaded: boolean;
  readonly #scaledBy: string | null;
  readonly #byName: ReadonlyMap<string, LayerInfo>;
  readonly #options: ModelOptions;
  /** The place of the input that is asked about. */
  readonly #at: number;
  /** The same model, asked about other inputs. */
  readonly #about = new Map<string, Model>();
  #training: readonly TrainingSummary[];
  /** Of each size of image that was checked, the shape of each layer. */
  readonly #shapes = new Map<string, ReadonlyMap<string, readonly number[]>>();

  /**
   * @internal
   * @throws {RangeError} if the number of labels is not the number of outputs, the output is of another kind, or the
   *   preprocessing has other channels
   * @throws {TypeError} if the network does not know the shape of its input
   * @throws {LayerError} if a layer hides steps from those behind it, or is called as in training
   */
  constructor(network: LayersModel, options: ModelOptions) {
    super();
    const { name, labels, output, scaledBy = null, training = [], loaded = false } = options;
    if (!network.inputs?.length) {
      throw new TypeError(
        `The model ${JSON.stringify(name)} does not know the shape of its input. Give its first layer an inputShape.`,
      );
    }
    // A Sequential that has not run yet knows its layers, but not how they are connected.
    if (!network.built) network.build(network.inputs[0].shape);
    checkLayers(network);
    this.network = network;
    this.name = name;
    this.#options = options;
    this.#scaledBy = scaledBy;
    this.#training = training;
    this.#loaded = loaded;
    this.inputs = inputsOf(network);
    this.#at = lookedAt(name, this.inputs, mainInput(network), options.input);
    this.inputShape = this.inputs[this.#at].shape;
    this.preprocess = this.#preprocessOf(this.#at);
    checkPreprocess(name, this.preprocess, this.inputShape.at(-1) ?? null);
    const known = labels && checkLabels(name, labels);
    ({ output: this.output, outputs: this.outputs } = readOutputs(network, name, known, output));
    this.labels = this.output.given;
    const { entries } = traceAnySize(network);
    const fields = receptiveFields(network);
    this.layers = entries.map(({ name, layer, use, uses, nth, isModel }) => ({
      name,
      kind: layer.getClassName(),
      outputShape: use.shape.slice(1),
      params: layer.countParams(),
      uses,
      use: nth,
      isModel,
      receptiveField: fields.get(name) ?? null,
    }));
    this.#byName = new Map(this.layers.map((layer) => [layer.name, layer]));
  }

  /**
   * @internal Along how many axes it looks: 1 for signals `[length, c]`, 2 for images, 3 for volumes `[d, h, w, c]`. An input
   * `[h, w]` without channels is a grey image, unless layers for sequences read it.
   */
  get dimensions(): number {
    const axes = this.inputShape.length;
    return axes === 2 && !this.layers.some(({ kind }) => SEQUENTIAL.test(kind)) ? 2 : Math.max(1, axes - 1);
  }

  /** @internal What results show of a view: of a grey image without channels, `[h, w]`, the same with an axis for them. */
  shown(view: NdArrayLike): NdArrayLike {
    return view.shape.length === 2 && this.dimensions === 2 ? { data: view.data, shape: [...view.shape, 1] } : view;
  }

  /** @internal Whether a layer's output holds maps with as many axes as what the network looks at, and channels. */
  hasMaps(outputShape: readonly (number | null)[]): boolean {
    return outputShape.length === this.dimensions + 1;
  }

  /** How many weights the model has. */
  get params(): number {
    return [...new Set(this.network.weights)].reduce((sum, { shape }) => sum + sizeOf(shape as number[]), 0);
  }

  /** @internal The layers that compute: those of nested models for the models themselves. */
  get leaves(): readonly LayerInfo[] {
    return this.layers.filter(({ isModel }) => !isModel);
  }

  /** The runs of `train` that its weights come from, in their order, also before it was saved; empty if there are none. */
  get training(): readonly TrainingSummary[] {
    return this.#training;
  }

  /** @internal What a run begins with that trains these weights. */
  get start(): TrainingStart {
    const from = this.#training.length ? "trained" : this.#loaded ? "loaded" : "new";
    return { from, before: this.#training };
  }

  /** @internal Says which runs its weights come from now. */
  noteTraining(runs: readonly TrainingSummary[]): void {
    this.#training = runs;
  }

  /** @internal What makes the outputs of a copy the same, as `loadModel` takes it. */
  get wanted(): OutputsWanted {
    const { output, outputs } = this;
    if (outputs.length === 1) return output.wanted;
    return [output, ...outputs.filter((other) => other !== output)].map(({ wanted }) => wanted);
  }

  /**
   * @internal The layers on the way to an output, those of nested models for the models themselves: of several outputs not
   * those of the others.
   */
  wayTo({ index }: ModelOutput = this.output): readonly LayerInfo[] {
    const { inputs, outputs, entries } = traceAnySize(this.network);
    const way = waysTo([outputs[index]]);
    // What is made of other inputs alone says nothing of this one.
    const from = inputs[this.#at];
    const own = (use: Use) => inputs.length === 1 || waysTo([use]).has(from);
    return this.layers.filter(({ isModel }, i) => !isModel && way.has(entries[i].use) && own(entries[i].use));
  }

  /** @internal As {@linkcode wayTo}; of maps up to what the last layer with weights reads: that one makes the maps themselves. */
  wayBefore(output: ModelOutput = this.output): readonly LayerInfo[] {
    const way = this.wayTo(output);
    return output.kind === "map" ? way.slice(0, Math.max(0, way.findLastIndex(({ params }) => params > 0))) : way;
  }

  /**
   * Finds a layer by its name, in nested models as `"features/conv1"`; each use of one that is used several times as
   * `"conv:1"`, `"conv:2"`, …, of which `"conv"` is the first.
   *
   * @throws {RangeError} if there is none; the message names the nearest
   */
  layer(name: string): LayerInfo {
    return this.#byName.get(this.entry(name).name)!;
  }

  /** @internal As {@linkcode layer}: the layer itself, with what it reads. */
  entry(name: string): Entry {
    return entryOf(this.network, String(name), `model ${JSON.stringify(this.name)}`);
  }

  /**
   * The shape that a layer really puts out for an image.
   *
   * @param name the layer's name
   * @param inputShape `[h, w, c]` of the image as the model sees it; @default the model's own input
   * @returns `[h, w, c]` or `[n]`; `null` where it depends on the image and none was given
   * @throws {RangeError} if there is no such layer, or the image is too small for a layer of the network
   */
  shapeOf(name: string, inputShape?: readonly number[]): readonly (number | null)[] {
    const layer = this.layer(name);
    return inputShape ? this.#shapesFor(inputShape).get(layer.name)! : layer.outputShape;
  }

  /** The shapes of all layers for inputs of a size, which they are checked for. */
  #shapesFor(inputShape: readonly number[]): ReadonlyMap<string, readonly number[]> {
    const channels = this.inputShape.at(-1)!;
    const shape = [...inputShape.slice(0, this.inputShape.length - 1), channels];
    const key = shape.join("×");
    if (this.#shapes.size > 99) this.#shapes.clear();
    const shapes = this.#shapes.get(key) ?? checkShapes(this.network, this.name, shape);
    return this.#shapes.set(key, shapes).get(key)!;
  }

  /**
   * @internal The same model, asked about another of its inputs.
   *
   * @throws {RangeError} if there is no such input
   */
  about(input: string | undefined): Model {
    if (input === undefined || input === this.inputs[this.#at].name) return this;
    const known = this.#about.get(input) ?? new Model(this.network, { ...this.#options, input });
    return this.#about.set(input, known).get(input)!;
  }

  /** @internal Which of several inputs is asked about, and how bands are drawn, in sentences; empty for one grey or RGB image. */
  get inputNote(): string {
    const { inputs, inputShape } = this;
    const bands = bandsNote(inputShape);
    if (inputs.length === 1) return bands;
    const others = inputs.filter((_, i) => i !== this.#at).map(({ name }) => JSON.stringify(name));
    const about = `It is about the input ${JSON.stringify(inputs[this.#at].name)}; ${others.join(" and ")} ${
      others.length > 1 ? "keep their values" : "keeps its value"
    }.`;
    return [about, bands].filter(Boolean).join(" ");
  }

  /** How an input is read: images as the model's own, if they have as many channels; other numbers as they are. */
  #preprocessOf(place: number): Preprocess {
    const { preprocess } = this.#options;
    const own = mainInput(this.network);
    const { shape } = this.inputs[place];
    const alike = shape.length === this.inputs[own].shape.length && shape.at(-1) === this.inputs[own].shape.at(-1);
    return place === own || alike ? preprocess : asTheyAre(preprocess);
  }

  /**
   * An image as this model sees it: brought to the input's size and to its channels, still of 0…255. Grey and RGB are made
   * into each other; an array of any other number of channels must have as many as the network reads.
   *
   * @param image for a network of several inputs a record by their names, as `{ image: "road.png", angle: 0.3 }`
   * @param columns what else goes to inputs of these names, where `image` is the picture alone: an item of a data set
   * @returns `[h, w, c]`; of other inputs `[length, c]` or `[depth, h, w, c]`
   * @throws {TypeError} if it is not what the network reads: says what it found and what it wants
   * @throws {RangeError} if it is too small for a layer of the network: says what would do
   */
  async view(image: ImageLike, columns: object = {}): Promise<ModelView> {
    const { inputs } = this;
    const given = await withColumns(inputs, mainInput(this.network), await toGiven(image), columns);
    const parts = partsFor(this.name, inputs, given);
    const others = inputs.length > 1
      ? inputs.map((input, i) => i === this.#at ? null : this.#numbers(i, this.#partView(input, parts[i], i)))
      : undefined;
    const input = inputs[this.#at];
    const part = parts[this.#at];
    const view = new ModelView(this.#partView(input, part, this.#at), others);
    this.#shapesFor(view.shape);
    if (input.shape.length === 3) setPixelRemark(view, oddPixels(pictureOf(part).pixels, this.#isRanged));
    return view;
  }

  /**
   * @internal An image for the input that is asked about, without what goes to the others.
   *
   * @throws {TypeError} if it is not what the input reads
   */
  async viewAlone(image: ImageLike): Promise<NdArrayLike> {
    const given = await toGiven(image);
    return this.#partView(this.inputs[this.#at], mainPart(given), this.#at);
  }

  #partView(input: NetworkInput, given: GivenPart, place: number): NdArrayLike {
    const part = hadChannelsFirst(this.network) ? channelsBehind(input, given) : given;
    const { shape, name } = input;
    const { fit } = this.#preprocessOf(place);
    if (shape.length === 2 && place === this.#at && this.dimensions === 2) {
      // A grey image whose network has no axis for channels.
      const image = part.shape.length === 2 ? ndarray(part.data, [...part.shape, 1]) : part;
      const view = viewOfPicture(this.name, { name, shape: [...shape, 1] }, pictureOf(image), fit);
      return { data: view.data, shape: view.shape.slice(0, 2) };
    }
    return shape.length === 3
      ? viewOfPicture(this.name, input, pictureOf(part), fit)
      : viewOfArray(this.name, input, part);
  }

  /** @internal How the input is read that is asked about: that of images by `preprocess`, other numbers as they are. */
  get reading(): Preprocess {
    return this.#preprocessOf(this.#at);
  }

  /** What the network reads at an input. */
  #numbers(place: number, view: NdArrayLike): NdArrayLike {
    return { data: preprocess(view, this.#preprocessOf(place)), shape: view.shape };
  }

  /** A network that is given pixels as they are may have been trained on any; so may one of other channels. */
  get #isRanged(): boolean {
    const channels = this.inputShape.at(-1);
    return (channels === 1 || channels === 3) && (this.preprocess.mode !== "none" || this.#scaledBy !== null);
  }

  /** @internal What {@linkcode view} makes of any image, in words: the same of the same; null where it depends on its size. */
  get viewing(): string | null {
    const { inputs, inputShape } = this;
    if (inputs.length > 1 || inputShape.length !== 3 || inputShape.includes(null)) return null;
    return `${inputShape.join(" × ")}, ${this.preprocess.fit}, ${this.#isRanged ? "0 to 255" : "any range"}`;
  }

  /**
   * Pixels as the numbers that the network was trained on.
   *
   * @param view what {@linkcode view} returned, `[h, w, c]`; with what goes to the other inputs, if there are any
   * @returns of the same shape; channels in the network's order
   */
  input(view: InputArray): ModelView {
    return new ModelView(this.#numbers(this.#at, view), view.others);
  }

  /** Whether the weights have been freed, here or by the code that made the network. */
  get disposed(): boolean {
    const { _refCount: uses, weights } = this.network as unknown as {
      _refCount: number;
      weights: { val: { isDisposed: boolean } }[];
    };
    return uses === 0 || weights.some(({ val }) => val.isDisposed);
  }

  /**
   * Saves the model in a folder or, if the path ends in `.zip`, in one file: {@linkcode loadModel} makes the same of it again,
   * to the same bits. It keeps layers, weights, labels, preprocessing, kind of output, name and the runs of `train`.
   *
   * What is written is a layers model of TensorFlow.js: a `model.json` and its weights, whose SHA-256 stands in the manifest.
   * It takes its place when it is whole. A model that was saved there before is replaced; anything else is left alone,
   * with an error. Layers of your own must be registered by `tf.serialization.registerClass` when it is saved and when it
   * is loaded. Functions that stand in for layers (`layers` of {@linkcode loadModel}) are given again then.
   *
   * @param path the folder or `.zip`; missing folders above it are made
   * @throws {TypeError} if it is no path, or the model has been disposed of
   * @throws {ModelError} if something else is there, it cannot be written, a weight is NaN or infinite, or TensorFlow.js
   *   would not make the same network of it again
   *
   * @example
   * ```ts
   * import { catsVsDogsConvnet, cifar10, loadModel, train } from "@convlens/convlens";
   *
   * const model = await catsVsDogsConvnet();
   * await train(model, await cifar10({ classes: ["cat", "dog"], limit: 600 }), { epochs: 1 });
   * await model.save("out/cats-vs-dogs");
   * const again = await loadModel("out/cats-vs-dogs");
   * console.log(again.labels, again.training);
   * ```
   */
  async save(path: string | URL): Promise<void> {
    checkThere("model.save", this);
    await saveModel(this, path);
  }

  /** Frees the weights. The model cannot be used afterwards. */
  dispose(): void {
    if (!this.disposed) disposeNetwork(this.network);
  }

  /** The table of layers, under a silhouette of the network. */
  override figure(): Figure {
    const { leaves } = this;
    const title = `${this.name} · ${leaves.length} layers, ${count(this.params)} parameters`;
    const { inputs, inputShape } = this;
    const input = inputs.length > 1 ? `Input ${JSON.stringify(inputs[this.#at].name)}` : "Input";
    const others = inputs.filter((_, i) => i !== this.#at).map((other) =>
      `${JSON.stringify(other.name)} (${shapeText(other.shape)})`
    );
    const caption = `${input}${inputShape.length > 1 ? ` ${shapeText(inputShape)}` : ""}: ` +
      `${describePreprocess(this.preprocess, inputShape)}. ` +
      (this.#scaledBy ? `The network scales them itself, by its layer ${JSON.stringify(this.#scaledBy)}. ` : "") +
      (others.length ? `It is given ${others.join(" and ")} besides. ` : "") +
      `Output: ${this.output.text}${this.labels ? "" : ", no labels"}. ` +
      (this.training.length ? `Trained for ${trainingText(this.training)}. ` : "") +
      (inputShape.length > 1
        ? "Receptive field: side of the square of pixels that one cell sees, and its step from cell to cell."
        : "");
    const replaced = leaves.filter(({ name, use }) => use === 1 && isReplaced(this.entry(name).layer))
      .map(({ name }) => name);
    const otherwise = replaced.length
      ? ` Otherwise than TensorFlow.js, and as Keras does, convlens computes ${replaced.slice(0, 5).join(", ")}` +
        `${replaced.length > 5 ? ` and ${replaced.length - 5} more` : ""}.`
      : "";
    const columns = [
      { title: "layer" },
      { title: "kind" },
      { title: "output", align: "right" as const },
      { title: "parameters", align: "right" as const },
      { title: "receptive field", align: "right" as const },
    ];
    // Of a layer that is used several times the weights count once.
    const known = new Set<unknown>();
    const isFirst = (name: string) => known.size < known.add(this.entry(name).layer).size;
    const rows = this.layers.map((layer) => [
      layer.name,
      layer.kind + (layer.use > 1 ? `, use ${layer.use}` : layer.uses > 1 ? `, used ${layer.uses} times` : ""),
      shapeText(layer.outputShape),
      layer.params && isFirst(layer.name) ? count(layer.params) : "",
      layer.receptiveField ? receptiveFieldText(layer.receptiveField) : "",
    ]);
    return new Figure({
      title,
      caption: caption + otherwise,
      blocks: [
        {
          kind: "picture",
          pixels: drawSilhouette(leaves),
          alt: `Silhouette of ${this.name}: one bar a layer, as high as its maps are large`,
          note: "One bar a layer, as high as its maps are large and as wide as they are many: " +
            "blue convolves or is dense, orange pools.",
        },
        { kind: "table", columns, rows },
      ],
    });
  }
}
