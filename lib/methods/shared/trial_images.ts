/**
 * What a trial shows: its images and the examples of its classes, read and made into pictures.
 *
 * @module
 */

import { sha256Of } from "../../checksum.ts";
import { encodeForPage, encodePng } from "../../codec.ts";
import {
  type Dataset,
  dataset,
  type DatasetRow,
  ImageDataset,
  type ItemLike,
  type SkippedImage,
  unreadItems,
} from "../../data/dataset.ts";
import { type Given, mainPart, pictureOf } from "../../data/given.ts";
import { tileOf } from "../../data/sample.ts";
import { ImageReader } from "../../model/inputs.ts";
import { randomStream, shuffled } from "../../random.ts";
import { withProgress } from "../../results/progress.ts";

/** A larger image is shown smaller, on its longest side. */
const SIDE = 480;
/** The side of an example's picture. */
const EXAMPLE_SIDE = 96;
/** Examples of all classes together: of many classes there are fewer of each. */
const MOST_EXAMPLES = 1200;

/** What is known of each image before it is read. */
export async function rowsOf(data: Dataset): Promise<readonly DatasetRow[]> {
  if (data instanceof ImageDataset && data.known) return data.known;
  return await Array.fromAsync(unreadItems(data), ({ known }) => known);
}

/** The images of some ids, as a data set that knows them. */
export async function subset(data: Dataset, ids: ReadonlySet<string>): Promise<ImageDataset> {
  if (data instanceof ImageDataset && data.known) return data.filter(({ id }) => ids.has(id));
  const items: ItemLike[] = [];
  for await (const { known, read } of unreadItems(data)) {
    if (ids.has(known.id)) items.push({ ...known, image: await read() as ItemLike["image"] });
  }
  return dataset(items, { name: data.name });
}

/** The same images in which a row tells something else of each. */
export function retold(
  data: ImageDataset,
  rows: ReadonlyMap<string, DatasetRow>,
  labels: readonly string[],
): ImageDataset {
  return new ImageDataset({
    name: data.name,
    labels,
    rows: data.known!.map(({ id }) => rows.get(id)!),
    async *walk(places) {
      for await (const item of data.unread(0, [...places])) yield { ...item, known: rows.get(item.known.id)! };
    },
  });
}

/** A picture for the page, and a mark of what it shows. */
export interface TrialPicture {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** The same for the same pixels. */
  readonly mark: string;
}

interface Walk {
  signal?: AbortSignal;
  onBadImage?: "skip" | "stop";
  onProgress?: (done: number, total: number) => void;
}

/** Reads the images of a data set as pictures no larger than a side. */
async function picturesOf(
  label: string,
  data: ImageDataset,
  side: number,
  { onProgress, ...run }: Walk,
): Promise<{ pictures: Map<string, TrialPicture>; skipped: readonly SkippedImage[] }> {
  const viewer = { viewing: null, view: (given: Given) => pictureOf(mainPart(given)) };
  const reader = new ImageReader("humanTrial", viewer, data, run);
  const pictures = new Map<string, TrialPicture>();
  await withProgress(
    label,
    reader.size,
    async (update) => {
      for await (const { known, view } of reader) {
        const { data: pixels, width, height } = tileOf(pictureOf(view as never).rgb(), side);
        const bytes = pixels instanceof Uint8Array ? pixels : new Uint8Array(pixels);
        // A small image keeps each of its pixels.
        const encoded = Math.max(width, height) <= EXAMPLE_SIDE && side === SIDE
          ? await encodePng(bytes, width, height, 3)
          : await encodeForPage(bytes, width, height, 3);
        const mark = sha256Of(new Uint8Array(tileOf(pictureOf(view as never).rgb(), EXAMPLE_SIDE).data));
        pictures.set(known.id, { bytes: new Uint8Array(encoded), width, height, mark });
        update(pictures.size + reader.skipped.length);
      }
    },
    onProgress,
    reader,
  );
  return { pictures, skipped: reader.skipped };
}

/** The pictures of a trial's own images. */
export const trialPictures = (data: ImageDataset, run: Walk) =>
  picturesOf(`Reading the images of the trial`, data, SIDE, run);

/**
 * Pictures of each class, none of which is an image of the trial.
 *
 * @param each how many of a class
 * @param classesOf the class of a row, if it is one
 * @param taken the ids, and the marks of the pictures, of the trial's own images
 */
export async function examplePictures(
  data: Dataset,
  { each, classOf, classes, taken, seed }: {
    each: number;
    classOf: (row: DatasetRow) => string | undefined;
    classes: number;
    taken: { ids: ReadonlySet<string>; marks: ReadonlySet<string> };
    seed: number;
  },
  run: Walk,
): Promise<Map<string, Uint8Array[]>> {
  const rows = await rowsOf(data);
  const wanted = Math.min(each, Math.max(1, Math.floor(MOST_EXAMPLES / classes)));
  const chosen = new Map<string, string>();
  const counts = new Map<string, number>();
  // One more of each, where one turns out to be an image of the trial under another name.
  for (const place of shuffled(rows.length, randomStream(seed, 1))) {
    const row = rows[place];
    const name = taken.ids.has(row.id) ? undefined : classOf(row);
    const count = name === undefined ? Infinity : counts.get(name) ?? 0;
    if (count > wanted) continue;
    counts.set(name!, count + 1);
    chosen.set(row.id, name!);
  }
  const found = new Map<string, Uint8Array[]>();
  if (chosen.size === 0) return found;
  const { pictures } = await picturesOf(
    "Reading examples",
    await subset(data, new Set(chosen.keys())),
    EXAMPLE_SIDE,
    run,
  );
  for (const [id, { bytes, mark }] of pictures) {
    const name = chosen.get(id)!;
    const own = found.get(name) ?? [];
    if (own.length < wanted && !taken.marks.has(mark)) found.set(name, [...own, bytes]);
  }
  return found;
}
