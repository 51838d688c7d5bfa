/**
 * How a network changed while it learned: curves, and filmstrips of its filters and maps with a slider.
 *
 * @module
 */

import { channelOf, extent, type NdArrayLike } from "../array.ts";
import { type EpochRow, type HistoryData, layerOf, scoreText, startText } from "../data/history.ts";
import type { Axis, Block, Chart, Picture, Series } from "../figure/blocks.ts";
import { brief, percent } from "../format.ts";
import { Figure } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { text, whole } from "../options.ts";
import { isPair, yEnds, type YRange, yRange } from "./axes.ts";
import { enlargement, filterOf, tilesPicture } from "./panels.ts";
import { skippedNote } from "./skipped.ts";

/** What a training run left behind, as far as it is drawn. */
export interface DrawnHistory extends Pick<HistoryData, "model" | "dataset" | "layers" | "snapshots"> {
  /** One row an epoch; shares from 0 to 1, NaN where there was no validation. */
  readonly rows: readonly Omit<EpochRow, "seconds">[];
  /** What the run began with; a new network, if it is not given. */
  readonly start?: HistoryData["start"];
  /** The images that were left out. */
  readonly skipped?: HistoryData["skipped"];
  /** The image that the maps are of. @default none is drawn beside them */
  readonly probe?: NdArrayLike | null;
}

/** What of a training run is drawn. */
export type HistoryView = "curves" | "filters" | "activations" | "sparsity";

/** Which view of a training run is drawn, and of which layer. */
export class HistoryFigureOptions {
  /**
   * - `"curves"`: loss and accuracy, and the learning rate where it changes;
   * - `"filters"`: the first layer's filters over time;
   * - `"activations"`: the probe image's feature maps over time;
   * - `"sparsity"`: each layer's share of zeros and of dead maps over time.
   * @default "curves"; of a run that was stopped in its first epoch, what there is to see of it
   */
  view?: HistoryView;
  /**
   * Of the view `"filters"`: whose filters; of `"activations"`: only the maps of this layer.
   * @default the first convolution; all layers of maps
   */
  @text()
  layer?: string;
  /**
   * Of the view `"activations"`: how many maps of each layer are drawn.
   * @default 16
   */
  @whole(1)
  maps = 16;
  /**
   * Of the views `"curves"` and `"sparsity"`: what the y axes show. `"fit"`: what the curves need; `"full"`: shares from 0
   * to 1, the loss from 0 on; `[low, high]`: the shares between these. Of curves also `{ loss, accuracy }`, one of these
   * for each.
   * @default "fit" for curves, "full" for sparsity
   */
  @yRange("loss", "accuracy")
  yRange?: YRange | { readonly loss?: YRange; readonly accuracy?: YRange };
}

/** The order of colours that the network reads. */
type ColorOrder = "rgb" | "bgr";

const VIEWS: readonly HistoryView[] = ["curves", "filters", "activations", "sparsity"];

/** About how large the probe image is shown, and the room of it and what stands to the right of it. */
const PROBE = 160;
const PAGE = 930;
const GAP = 20;

const epochs: Axis = { title: "epoch", whole: true };

/**
 * Draws a training run. It needs no kernel afterwards: sliders work in a saved notebook and on an exported page.
 *
 * @throws {RangeError} if the view is unknown, or the run kept nothing to draw in it: says how it would have
 */
export function historyFigure(
  history: DrawnHistory,
  { view = defaultView(history), layer, maps = 16, yRange }: Partial<HistoryFigureOptions> = {},
  order: ColorOrder = "rgb",
): Figure {
  switch (view) {
    case "curves":
      return curves(history, yRange);
    case "filters":
      return filters(history, layer, order);
    case "activations":
      return activations(history, layer, maps);
    case "sparsity":
      return sparsity(history, yRange);
    default:
      throw new RangeError(
        `There is no view ${JSON.stringify(view)} of a history; wanted one of ${VIEWS.join(", ")}.`,
      );
  }
}

/** A run that was stopped before its first epoch ended has no curves; its maps, or else their sparsity, it has. */
function defaultView({ rows, layers, snapshots }: DrawnHistory): HistoryView {
  if (rows.length > 0 || layers.length === 0) return "curves";
  const kept = Object.values(snapshots.at(-1)?.activations ?? {});
  return kept.some(({ shape }) => shape.length === 3) ? "activations" : "sparsity";
}

/** The curves alone, for a cell that shows them while the network learns. */
export function curveBlocks({ rows }: DrawnHistory, range: HistoryFigureOptions["yRange"] = "fit"): Block[] {
  const wanted: { loss?: YRange; accuracy?: YRange } = typeof range === "string"
    ? { loss: range, accuracy: range }
    : isPair(range)
    ? { accuracy: range }
    : range;
  const axis = (
    title: string,
    chart: "loss" | "accuracy",
    full: Pick<Axis, "min" | "max">,
    series: Series[],
  ): Axis => ({
    title,
    ...yEnds(wanted[chart] ?? "fit", series.flatMap(({ y }) => [...y]), full),
  });
  const x = rows.map(({ epoch }) => epoch);
  const validated = rows.some(({ validationLoss }) => !Number.isNaN(validationLoss));
  const chart = (heading: string, axis: Axis, series: Series[], alt: string): Chart => ({
    kind: "chart",
    heading,
    series,
    x: epochs,
    y: axis,
    alt,
  });
  const pair = (training: number[], validation: number[]): Series[] => [
    { label: "training", x, y: training },
    ...(validated ? [{ label: "validation", x, y: validation, dashed: true }] : []),
  ];
  const losses = pair(rows.map((row) => row.loss), rows.map((row) => row.validationLoss));
  const isNumbers = rows.some(({ error }) => error !== undefined);
  const scores = pair(
    rows.map(({ accuracy, error }) => error ?? accuracy ?? NaN),
    rows.map(({ validationAccuracy, validationError }) => validationError ?? validationAccuracy ?? NaN),
  );
  const rates = rows.map(({ learningRate }) => learningRate);
  const [min, max] = extent(rates);
  return [
    {
      kind: "row",
      blocks: [
        chart(
          "Loss",
          axis("loss", "loss", { min: 0 }, losses),
          losses,
          `Loss over ${rows.length} epochs, at the end ${brief(rows.at(-1)!.loss)} in training`,
        ),
        isNumbers
          ? chart(
            "Mean error",
            axis("mean of the errors' magnitudes", "accuracy", { min: 0 }, scores),
            scores,
            `Mean error over ${rows.length} epochs, at the end ${brief(rows.at(-1)!.error)} in training`,
          )
          : chart(
            "Accuracy",
            axis("share classified right", "accuracy", { min: 0, max: 1 }, scores),
            scores,
            `Accuracy over ${rows.length} epochs, at the end ${percent(rows.at(-1)!.accuracy)} in training`,
          ),
      ],
    },
    ...(min === max ? [] : [
      chart(
        "Learning rate",
        { title: "rate of the epoch's last step", ...(min > 0 && max > 20 * min && { scale: "log" }) },
        [{ label: "rate", x, y: rates }],
        `Learning rate over ${rows.length} epochs, from ${brief(rates[0])} to ${brief(rates.at(-1)!)}`,
      ),
    ]),
  ];
}

/** Each layer's share of zeros and of dead maps, for a cell that shows them while the network learns. */
export function sparsityBlocks({ layers }: DrawnHistory, range: YRange = "full"): Block[] {
  const names = [...new Set(layers.map(({ layer }) => layer))];
  const chart = (heading: string, title: string, value: "sparsity" | "dead"): Chart => ({
    kind: "chart",
    heading,
    series: names.map((name) => {
      const own = layers.filter(({ layer }) => layer === name);
      return { label: name, x: own.map(({ epoch }) => epoch), y: own.map((row) => row[value]) };
    }),
    x: epochs,
    y: { title, ...yEnds(range, layers.map((row) => row[value]), { min: 0, max: 1 }) },
    height: 280,
    alt: `${heading} of ${names.length} layers over the epochs`,
  });
  return [{
    kind: "row",
    blocks: [
      chart("Sparsity", "share of zeros", "sparsity"),
      chart("Dead maps", "share of maps that never fire", "dead"),
    ],
  }];
}

function need(what: readonly unknown[], view: string, remedy: string): void {
  if (what.length === 0) throw new RangeError(`This history has nothing to draw in the view "${view}": ${remedy}.`);
}

function curves(history: DrawnHistory, range: HistoryFigureOptions["yRange"]): Figure {
  const { rows, model, dataset } = history;
  need(rows, "curves", "no epoch was finished");
  const last = rows.at(-1)!;
  const isNumbers = last.error !== undefined;
  const text = (value?: number) => isNumbers ? brief(value) : percent(value);
  const checked = last.validationError ?? last.validationAccuracy ?? NaN;
  const part = Number.isNaN(checked) ? "training" : "validation";
  const best = text(Number.isNaN(checked) ? last.error ?? last.accuracy : checked);
  const reached = isNumbers ? `mean error ${best} in ${part}` : `${best} right in ${part}`;
  const line = (row: DrawnHistory["rows"][number]) =>
    `  epoch ${String(row.epoch).padStart(3)}  loss ${brief(row.loss)}  ${scoreText(row)}  ` +
    `validation ${brief(row.validationLoss)}, ${text(row.validationError ?? row.validationAccuracy)}`;
  const notes = [history.start ? startText(history.start) : "", skippedNote(history.skipped ?? [])].filter(Boolean);
  const title = `${model} · ${rows.length} ${rows.length === 1 ? "epoch" : "epochs"} of ${dataset} · ${reached}`;
  return new Figure({
    title,
    caption: [
      "Training is measured during each epoch, while the network still learns and with dropout; validation after it, " +
      "without.",
      ...notes,
    ].join(" "),
    blocks: curveBlocks(history, range),
    text: [title, ...rows.map(line), ...notes].join("\n"),
  });
}

function sparsity(history: DrawnHistory, range: HistoryFigureOptions["yRange"]): Figure {
  if (range !== undefined && typeof range !== "string" && !isPair(range)) {
    throw new RangeError(
      `yRange of the view "sparsity" is "fit", "full" or [low, high], for both charts: received ${
        JSON.stringify(range)
      }.`,
    );
  }
  const { layers, model } = history;
  need(layers, "sparsity", "no layer was watched");
  const last = Math.max(...layers.map(({ epoch }) => epoch));
  const title = `${model} · sparsity of its layers over ${last} ${last === 1 ? "epoch" : "epochs"}`;
  const lines = [...new Set(layers.map(({ layer }) => layer))].map((name) => {
    const own = layers.filter(({ layer }) => layer === name);
    const [first, final] = [own[0], own.at(-1)!];
    return `  ${name.padEnd(24)} zeros ${percent(first.sparsity)} → ${percent(final.sparsity)}  ` +
      `dead ${percent(first.dead)} → ${percent(final.dead)}`;
  });
  return new Figure({
    title,
    caption: "Sparsity is the share of values behind the activation that are exactly 0, over the images that the run " +
      "watches; a map is dead here if it is 0 on all of them. Epoch 0 is before training.",
    blocks: sparsityBlocks(history, range),
    text: [title, ...lines].join("\n"),
  });
}

const frameLabel = (epoch: number) => epoch === 0 ? "0, before training" : String(epoch);
const epochLabel = (epoch: number) => epoch === 0 ? "before training" : `epoch ${epoch}`;

/** The filters of a layer that reads colours or grey as pictures, each on a scale of its own. */
export function filterPicture(
  kernel: NdArrayLike,
  name: string,
  { order = "rgb", maxWidth, maxHeight = 260 }: { order?: ColorOrder; maxWidth?: number; maxHeight?: number } = {},
): Picture {
  const [height, width, , count] = kernel.shape;
  return tilesPicture({
    height,
    width,
    count,
    values: (filter) => filterOf(kernel, filter).data,
    palette: "diverging",
    order,
    label: (filter) => `filter ${filter}`,
    maxWidth,
    maxHeight,
    alt: `${count} filters of ${height}×${width}, ${name}`,
  });
}

function filters({ model, snapshots }: DrawnHistory, layer: string | undefined, order: ColorOrder): Figure {
  need(snapshots, "filters", "train keeps filters only at epochs named by its option snapshots");
  const kernels = Object.entries(snapshots[0].weights).filter(([, { shape }]) => shape.length === 4);
  const names = kernels.map(([name]) => layerOf(name));
  const found = layer === undefined ? kernels[0] : kernels.find((_, i) => names[i] === layer);
  if (!found) {
    throw new RangeError(
      `The snapshots hold no filters of ${layer === undefined ? "a convolution" : `layer ${JSON.stringify(layer)}`}; ` +
        `${names.length ? `they hold those of ${names.join(", ")}` : "they hold none at all"}.`,
    );
  }
  const [key, { shape: [height, width, cin, count] }] = found;
  const name = layerOf(key);
  if (cin !== 3 && cin !== 1) {
    throw new RangeError(
      `The filters of layer ${JSON.stringify(name)} read ${cin} maps; only those that read a picture of one or three ` +
        `colours can be drawn as pictures.`,
    );
  }
  const [first, last] = [snapshots[0].epoch, snapshots.at(-1)!.epoch];
  return new Figure({
    title: `${model} · ${name} · ${count} filters of ${height}×${width}×${cin}, epochs ${first} to ${last}`,
    caption: "Each filter has its own scale in each frame; mid-grey is 0. Epoch 0 is before training.",
    blocks: [{
      kind: "slides",
      label: "epoch",
      frames: snapshots.map(({ epoch, weights }) => ({
        label: frameLabel(epoch),
        block: filterPicture(weights[key], `layer ${name} of ${model}, ${epochLabel(epoch)}`, { order }),
      })),
    }],
  });
}

/** A layer's maps on a probe image, each on a scale of its own; black is 0. */
export function mapsPicture(maps: NdArrayLike, most: number, name: string, maxWidth?: number): Picture {
  const [height, width, channels] = maps.shape;
  const signed = extent(maps.data)[0] < 0;
  const planes = Array.from({ length: Math.min(most, channels) }, (_, channel) => channelOf(maps, channel).data);
  const ranges = planes.map(extent);
  return tilesPicture({
    height,
    width,
    count: planes.length,
    values: (channel) => planes[channel],
    palette: signed ? "diverging" : "grey",
    label: (channel) => `channel ${channel}\nvalues ${brief(ranges[channel][0])} … ${brief(ranges[channel][1])}`,
    outlined: (channel) => ranges[channel][0] === 0 && ranges[channel][1] === 0,
    maxWidth,
    maxHeight: 110,
    alt: `${planes.length} of ${channels} maps, ${name}`,
  });
}

/** The probe image, and its maps to the right of it: as wide as the page leaves them. */
export function besideProbe(probe: NdArrayLike | null | undefined, maps: (maxWidth?: number) => Block[]): Block[] {
  if (!probe) return maps();
  const pixels = pixelsOf(probe, enlargement(probe.shape, PROBE));
  const photo: Picture = {
    kind: "picture",
    heading: "Probe image",
    note: `${probe.shape[0]}×${probe.shape[1]}`,
    pixels,
    alt: "The probe image, as the network saw it",
  };
  const stacked: Block = { kind: "row", columns: 1, blocks: maps(PAGE - GAP - pixels.width) };
  return [{ kind: "row", blocks: [photo, stacked] }];
}

function activations({ model, snapshots, probe }: DrawnHistory, layer: string | undefined, maps: number): Figure {
  const kept = snapshots.filter(({ activations }) => Object.keys(activations).length > 0);
  need(kept, "activations", "train keeps maps only with a probe image and at epochs named by its option snapshots");
  const names = Object.entries(kept[0].activations).filter(([, { shape }]) => shape.length === 3).map(([name]) => name);
  if (layer !== undefined && !names.includes(layer)) {
    throw new RangeError(`The snapshots hold no maps of layer ${JSON.stringify(layer)}, but of ${names.join(", ")}.`);
  }
  const [first, last] = [kept[0].epoch, kept.at(-1)!.epoch];
  return new Figure({
    title: `${model} · maps of the probe image, epochs ${first} to ${last}`,
    caption: `Each map has its own scale in each frame; black is 0. At most ${maps} maps of a layer are drawn. ` +
      "Outlined in orange: maps that are 0 everywhere. Epoch 0 is before training.",
    blocks: besideProbe(probe, (maxWidth) =>
      (layer === undefined ? names : [layer]).map((name): Block => ({
        kind: "slides",
        heading: `${name} · ${kept[0].activations[name].shape.join("×")}`,
        label: "epoch",
        frames: kept.map(({ epoch, activations }) => ({
          label: frameLabel(epoch),
          block: mapsPicture(activations[name], maps, `layer ${name} of ${model}, ${epochLabel(epoch)}`, maxWidth),
        })),
      }))),
  });
}
