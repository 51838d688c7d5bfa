/**
 * A network seen while it learns: in a cell a picture that is repainted, in a terminal one line an epoch.
 *
 * @module
 */

import {
  display,
  inKernel,
  type Progress,
  progressHtml,
  startProgress,
  startStopButton,
  type StopButton,
  Throttle,
} from "../figure/cell.ts";
import { layerOf, scoreText, startText, type TrainingView, type TrainingWatcher } from "../data/history.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { stopButtonHtml } from "../figure/html.ts";
import { brief, duration } from "../format.ts";
import { skippedNote } from "./skipped.ts";
import {
  besideProbe,
  curveBlocks,
  type DrawnHistory,
  filterPicture,
  mapsPicture,
  sparsityBlocks,
} from "./training_figures.ts";

type DrawnSnapshot = DrawnHistory["snapshots"][number];

/** The run that is watched. */
export interface WatchedRun {
  /** The model's name. */
  model: string;
  /** The data set's name. */
  dataset: string;
  /** How many images are read before training. */
  images: number;
  /** How many epochs the run is to take. */
  epochs: number;
  /** The order of colours that the network reads. */
  order: "rgb" | "bgr";
}

/** How many feature maps of a layer are drawn, and of how many layers: a live picture has to be quick. */
const MAPS = 8;
const LAYERS = 4;

/** What a terminal prints after an epoch. */
export function epochLine({ rows }: DrawnHistory, epochs: number, left: string): string {
  const row = rows.at(-1)!;
  const { epoch, loss, validationLoss, validationAccuracy: accuracy, validationError: error, learningRate } = row;
  const validation = Number.isNaN(validationLoss)
    ? ""
    : ` · validation loss ${brief(validationLoss)}, ${scoreText({ accuracy, error })}`;
  return `epoch ${String(epoch).padStart(String(epochs).length)} of ${epochs} · loss ${brief(loss)}, ` +
    `${scoreText(row)}${validation} · rate ${brief(learningRate)}${left}`;
}

/** The filters and feature maps of a moment, the maps beside the image that they are of. */
function nowBlocks(
  { weights, activations }: DrawnSnapshot,
  { model, probe }: DrawnHistory,
  order: "rgb" | "bgr",
): Block[] {
  const blocks: Block[] = [];
  const [first] = Object.entries(weights).filter(([, { shape }]) => shape.length === 4);
  if (first && [1, 3].includes(first[1].shape[2])) {
    const name = layerOf(first[0]);
    blocks.push({ ...filterPicture(first[1], `layer ${name} of ${model}`, { order }), heading: `Filters of ${name}` });
  }
  const maps = Object.entries(activations).filter(([, { shape }]) => shape.length === 3);
  // From the first on, evenly spread over the depth.
  const apart = Math.max(1, Math.ceil(maps.length / LAYERS));
  const chosen = maps.filter((_, i) => i % apart === 0);
  if (chosen.length === 0) return blocks;
  return [
    ...blocks,
    ...besideProbe(probe, (maxWidth) =>
      chosen.map(([name, values]) => ({
        ...mapsPicture(values, MAPS, `layer ${name} of ${model}`, maxWidth),
        heading: `Maps of ${name}`,
      }))),
  ];
}

/**
 * A run on its way: its curves, its filters and feature maps, and the sparsity of its layers.
 *
 * @param now the filters and maps; none are drawn without it
 */
export function trainingFigure(
  history: DrawnHistory,
  now: DrawnSnapshot | undefined,
  { title, order }: { title: string; order: "rgb" | "bgr" },
): Figure {
  return new Figure({
    title,
    caption: ("Filters and maps have their own scales; the maps are those of the probe image. " +
      (history.start ? startText(history.start) : "")).trim(),
    blocks: [
      ...(history.rows.length ? curveBlocks(history) : []),
      ...(now ? nowBlocks(now, history, order) : []),
      ...(history.layers.length ? sparsityBlocks(history) : []),
    ],
    text: title,
  });
}

/**
 * A view of a run that goes on: a progress bar while images are read, then the network while it learns, with a button
 * that stops it. What its methods return is to be awaited: the view takes its time from the training.
 */
export class LiveTraining implements TrainingWatcher {
  /** Aborted when the button in the cell is pressed. */
  readonly signal?: AbortSignal;
  readonly #run: WatchedRun;
  #label: string;
  readonly #reading: Progress;
  readonly #button?: StopButton;
  readonly #id = crypto.randomUUID();
  readonly #throttle = new Throttle({ now: true });
  /** When training began, after how many epochs (of a run that is taken up again). */
  #start = 0;
  #from: number | undefined;
  #history: DrawnHistory | undefined;
  #now: DrawnSnapshot | undefined;
  #shown = false;

  constructor(run: WatchedRun) {
    this.#run = run;
    this.#label = `Training ${run.model} on ${run.dataset}`;
    this.#reading = startProgress(`Reading ${run.dataset}`, run.images);
    if (inKernel()) this.#button = startStopButton("Stop training");
    this.signal = this.#button?.signal;
  }

  /** While images are read. */
  onRead(done: number): void {
    this.#reading.update(done);
  }

  /** Before the first epoch and after each one. */
  async onEpoch(history: DrawnHistory): Promise<void> {
    const { epochs } = this.#run;
    const done = history.rows.length;
    if (this.#from !== undefined) {
      if (!inKernel()) console.log(epochLine(history, epochs, this.#times(done)));
      return;
    }
    await this.#reading.finish(skippedNote(history.skipped ?? []));
    this.#from = done;
    this.#start = performance.now();
    this.#now = history.snapshots.at(-1);
    const start = history.start && startText(history.start);
    if (history.start?.from === "trained") this.#label += " · goes on from trained weights";
    if (start && !inKernel()) console.log(start);
    if (inKernel()) {
      await this.#throttle.paint(() => this.#paint(history, `${this.#label} · epoch 1 of ${epochs}`, 0));
    }
  }

  /** Between two steps; repaints only now and then. */
  async onMoment({ history, epoch, share, loss, peek, ...scored }: TrainingView): Promise<void> {
    if (!inKernel() || !this.#throttle.due) return;
    await this.#throttle.paint(async () => {
      this.#now = await peek();
      const { epochs } = this.#run;
      const done = epoch - 1 + share;
      const text = `${this.#label} · epoch ${epoch} of ${epochs} · loss ${brief(loss)}, ${scoreText(scored)}` +
        this.#times(done);
      await this.#paint(history, text, done / epochs);
    });
  }

  /** Paints the end of the run, which stays. @param error what interrupted the run, if anything did */
  async finish(history: DrawnHistory, error?: unknown): Promise<void> {
    if (!inKernel()) return;
    const { epochs } = this.#run;
    this.#now = history.snapshots.at(-1) ?? this.#now;
    const [before, after] = error ? ["interrupted after ", " · the model keeps what it has learned"] : ["", ""];
    const done = `${this.#label} · ${before}${history.rows.length} of ${epochs} epochs`;
    await this.#paint(history, done + this.#times(epochs) + after);
  }

  /** Ends the view after a failure: what was seen last stays, without the button. */
  async fail(error: unknown): Promise<void> {
    const { epochs } = this.#run;
    if (this.#from === undefined) return await this.#reading.stop(error);
    if (!this.#history) return;
    const failed = `${this.#label} · failed after ${this.#history.rows.length} of ${epochs} epochs`;
    await this.#paint(this.#history, failed + this.#times(epochs));
  }

  /** Takes the button off the air. */
  async close(): Promise<void> {
    await this.#button?.close();
  }

  /** Time passed and left, as text, after this many epochs. */
  #times(done: number): string {
    const from = this.#from!;
    const elapsed = performance.now() - this.#start;
    const left = done > from && done < this.#run.epochs
      ? ` · ${duration((elapsed / (done - from)) * (this.#run.epochs - done))} left`
      : "";
    return ` · ${duration(elapsed)}${left}`;
  }

  /** @param share how much of the run is done; without it this is the last picture, which stays */
  async #paint(history: DrawnHistory, text: string, share?: number): Promise<void> {
    this.#history = history;
    const figure = trainingFigure(history, this.#now, { title: text, order: this.#run.order });
    const bundle = share === undefined ? await figure.bundle() : {
      "text/html": progressHtml("", share) + (this.#button ? stopButtonHtml(this.#button) : "") + await figure.html(),
      "text/plain": text,
    };
    await display(bundle, { id: this.#id, update: this.#shown });
    this.#shown = true;
  }
}
