/**
 * A network seen while it learns: in a cell a picture that is repainted, in a terminal one line an epoch.
 *
 * @module
 */

import type { Block } from "../figure/blocks.ts";
import { brief } from "../format.ts";
import { Figure } from "../figure/figure.ts";
import { curveBlocks, type DrawnHistory, filterPicture, mapsPicture, sparsityBlocks } from "./training_figures.ts";
import { display, inKernel } from "../figure/cell.ts";
import { progressHtml } from "../figure/cell.ts";
import { duration } from "../format.ts";

type DrawnSnapshot = DrawnHistory["snapshots"][number];

/** What can be seen of a run between two of its steps. */
export interface LiveMoment {
  /** Everything up to the last full epoch. */
  history: DrawnHistory;
  /** The epoch that is running, from 1. */
  epoch: number;
  /** How much of it is done, from 0 to 1. */
  share: number;
  /** Mean loss and accuracy over the last steps; NaN before the first. */
  loss: number;
  accuracy: number;
  /** The first layer's filters and the probe image's maps as they are now. */
  peek: () => Promise<DrawnSnapshot>;
}

/** A view of a run that goes on. What it returns is to be awaited: the view takes its time from the training. */
export interface LiveTraining {
  /** Before the first epoch and after each one. */
  epoch(history: DrawnHistory): Promise<void>;
  /** Between two steps; repaints only now and then. */
  moment(moment: LiveMoment): Promise<void>;
  /** Paints the end of the run, which stays. */
  finish(history: DrawnHistory): Promise<void>;
  /** Ends the view after a failure: what was seen last stays, without the control. */
  stop(): Promise<void>;
}

export interface LiveTrainingOptions {
  /** How many epochs the run is to take. */
  epochs: number;
  /** The order of colours that the network reads. */
  order: "rgb" | "bgr";
  /** HTML for a control that is shown while the run goes on. @default none */
  control?: string;
}

/** The picture is repainted at most so often. */
const EVERY_MS = 1000;
/** Painting takes at most this share of the time: after a slow repaint the next one comes later. */
const PAINTING_SHARE = 0.03;
/** How many maps of a layer are drawn, and of how many layers: a live picture has to be quick. */
const MAPS = 8;
const LAYERS = 4;

const percent = (share: number) => Number.isNaN(share) ? "–" : `${(100 * share).toFixed(1)} %`;
/** What a terminal prints after an epoch. */
export function epochLine({ rows }: DrawnHistory, epochs: number, left: string): string {
  const { epoch, loss, accuracy, validationLoss, validationAccuracy, learningRate } = rows.at(-1)!;
  const validation = Number.isNaN(validationLoss)
    ? ""
    : ` · validation loss ${brief(validationLoss)}, accuracy ${percent(validationAccuracy)}`;
  return `epoch ${String(epoch).padStart(String(epochs).length)} of ${epochs} · loss ${brief(loss)}, accuracy ` +
    `${percent(accuracy)}${validation} · rate ${brief(learningRate)}${left}`;
}

/** The filters and maps of a moment, side by side. */
function nowBlocks({ weights, activations }: DrawnSnapshot, model: string, order: "rgb" | "bgr"): Block[] {
  const blocks: Block[] = [];
  const [first] = Object.entries(weights).filter(([, { shape }]) => shape.length === 4);
  if (first && [1, 3].includes(first[1].shape[2])) {
    const name = first[0].split("/")[0];
    blocks.push({ ...filterPicture(first[1], `layer ${name} of ${model}`, { order }), heading: `Filters of ${name}` });
  }
  const maps = Object.entries(activations).filter(([, { shape }]) => shape.length === 3);
  // From the first on, evenly spread over the depth.
  const apart = Math.max(1, Math.ceil(maps.length / LAYERS));
  for (const [name, values] of maps.filter((_, i) => i % apart === 0)) {
    blocks.push({ ...mapsPicture(values, MAPS, `layer ${name} of ${model}`), heading: `Maps of ${name}` });
  }
  return blocks;
}

/**
 * A run as it stands: its curves, its filters and maps, and the sparsity of its layers.
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
    caption: "Filters and maps have their own scales; the maps are those of the probe image.",
    blocks: [
      ...(history.rows.length ? curveBlocks(history) : []),
      ...(now ? nowBlocks(now, history.model, order) : []),
      ...(history.layers.length ? sparsityBlocks(history) : []),
    ],
    text: title,
  });
}

/** Starts to show a run. */
export function startLiveTraining(label: string, { epochs, order, control = "" }: LiveTrainingOptions): LiveTraining {
  const cell = inKernel();
  const id = crypto.randomUUID();
  const start = performance.now();
  let from = 0;
  let started = false;
  let shown = false;
  let next = 0;
  let now: DrawnSnapshot | undefined;
  let seen: DrawnHistory | undefined;

  /** Time passed and left, as text, when so many epochs are done. */
  const times = (done: number) => {
    const elapsed = performance.now() - start;
    const left = done > from && done < epochs ? ` · ${duration((elapsed / (done - from)) * (epochs - done))} left` : "";
    return ` · ${duration(elapsed)}${left}`;
  };

  const paint = async (history: DrawnHistory, text: string, share: number, last: boolean) => {
    const begun = performance.now();
    seen = history;
    const figure = trainingFigure(history, now, { title: text, order });
    const bundle = last
      ? await figure.bundle()
      : { "text/html": progressHtml("", share) + control + await figure.html(), "text/plain": text };
    await display(bundle, { id, update: shown });
    // The first repaint loads what the others need, and tells nothing about their cost.
    const cost = shown ? performance.now() - begun : 0;
    shown = true;
    next = performance.now() + Math.max(EVERY_MS, cost / PAINTING_SHARE);
  };

  return {
    async epoch(history) {
      const done = history.rows.length;
      if (!started) {
        started = true;
        from = done;
        now = history.snapshots.at(-1);
        if (cell) await paint(history, `${label} · epoch 1 of ${epochs}`, 0, false);
        return;
      }
      if (!cell) console.log(epochLine(history, epochs, times(done)));
    },
    async moment({ history, epoch, share, loss, accuracy, peek }) {
      if (!cell || performance.now() < next) return;
      const begun = performance.now();
      now = await peek();
      const done = epoch - 1 + share;
      const text = `${label} · epoch ${epoch} of ${epochs} · loss ${brief(loss)}, accuracy ${percent(accuracy)}` +
        times(done);
      await paint(history, text, done / epochs, false);
      next = Math.max(next, performance.now() + (performance.now() - begun) / PAINTING_SHARE);
    },
    async finish(history) {
      if (!cell) return;
      now = history.snapshots.at(-1) ?? now;
      const done = history.rows.length;
      await paint(history, `${label} · ${done} of ${epochs} epochs${times(epochs)}`, 1, true);
    },
    async stop() {
      if (seen) {
        await paint(seen, `${label} · failed after ${seen.rows.length} of ${epochs} epochs${times(epochs)}`, 1, true);
      }
    },
  };
}
