/**
 * Activations of several images: kept in memory, or written to a file.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import { layersText } from "../../data/codes_file.ts";
import { checkMachineMemory } from "../../memory.ts";
import type { ImageView } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { WalkOptions } from "../../options.ts";
import { item } from "../../probe/forward.ts";
import { Activations, ActivationsOfImages } from "../../results/activations.ts";
import type { CodesFile } from "../../results/codes.ts";
import { keepInFile } from "../../results/codes_keeper.ts";
import { withProgress } from "../../results/progress.ts";
import { collect, type Collection } from "../../results/result.ts";
import { forwardEach } from "../../scan/forward_all.ts";
import type { ImagesReader } from "./images.ts";

/** The maps of a layer that are wanted, of a vector as maps of one cell, with the shape of all. */
export function chosen(output: NdArrayLike, channels?: readonly number[]) {
  const { data, shape: own } = output;
  const shape = own.length === 1 ? [1, 1, own[0]] : own;
  const maps = { data, shape };
  if (channels) return { shape, maps: pick(maps, channels), channels: [...channels] };
  return { shape, maps, channels: Array.from({ length: shape.at(-1)! }, (_, channel) => channel) };
}

/** Some channels of `[…, c]`, in the order asked for. */
function pick({ data: all, shape }: NdArrayLike, channels: readonly number[]): NdArrayLike {
  const count = shape.at(-1)!;
  const cells = all.length / count;
  const data = new Float32Array(cells * channels.length);
  for (let cell = 0; cell < cells; cell++) {
    channels.forEach((channel, i) => data[cell * channels.length + i] = all[cell * count + channel]);
  }
  return { data, shape: [...shape.slice(0, -1), channels.length] };
}

/** The options of `activations` for several images. */
interface Options extends WalkOptions {
  channels?: readonly number[];
  file?: string;
}

/** What is wanted of what a layer puts out for an image. */
type Part = ReturnType<typeof chosen>;

/** Runs images and hands over, of each of them, what is wanted of each layer. */
function eachOf(
  model: Model,
  reader: ImagesReader,
  names: readonly string[],
  { channels, batchSize, signal, onProgress }: Options,
  receive: (images: readonly ImageView[], parts: readonly (readonly Part[])[], start: number) => void | Promise<void>,
): Promise<void> {
  const waiting: ImageView[] = [];
  const inputs = reader.inputs((image) => waiting.push(image));
  const take = (outputs: NdArrayLike[], start: number) => {
    const images = waiting.splice(0, outputs[0].shape[0]);
    return receive(images, outputs.map((output) => images.map((_, i) => chosen(item(output, i), channels))), start);
  };
  const run = (update: (done: number) => void) =>
    forwardEach(model, inputs, names, take, { batchSize, signal, onProgress: update });
  return withProgress(`Activations of ${model.name}`, reader.size, run, onProgress, reader);
}

/** The activations of several images, the maps of each layer in one array. */
export async function inMemory(
  model: Model,
  reader: ImagesReader,
  names: readonly string[],
  options: Options,
): Promise<ActivationsOfImages> {
  const { size } = reader;
  let stores: Float32Array<ArrayBuffer>[] = [];
  const each: Activations[] = [];
  const ids: string[] = [];
  const labels: (string | undefined)[] = [];
  await eachOf(model, reader, names, options, (images, parts, start) => {
    if (start === 0) {
      const lengths = parts.map(([{ maps }]) => maps.data.length);
      const floats = lengths.reduce((sum, length) => sum + length, images[0].view.data.length);
      const remedy = "Write them to a file, with the option file, or ask for fewer images, layers or channels.";
      checkMachineMemory(`The activations of ${size} images at ${layersText(names)}`, 4 * size * floats, remedy);
      stores = lengths.map((length) => new Float32Array(size * length));
    }
    images.forEach((image, n) => {
      const layers = parts.map((part, i) => {
        const { maps: { data, shape }, ...known } = part[n];
        stores[i].set(data, (start + n) * data.length);
        const kept = stores[i].subarray((start + n) * data.length, (start + n + 1) * data.length);
        return { name: names[i], ...known, maps: { data: kept, shape } };
      });
      each.push(new Activations(layers, model.shown(image.view), { model: model.name, image: reader.nameOf(image) }));
      ids.push(reader.nameOf(image));
      labels.push(image.label);
    });
  });
  const title = `${model.name} · ${names.length > 3 ? `${names.length} layers` : layersText(names)} · activations`;
  return ActivationsOfImages.together(each, { title, ids, labels, stores, skipped: reader.skipped });
}

/** Writes the activations of several images to a file. */
export async function inFile(
  model: Model,
  reader: ImagesReader,
  names: readonly string[],
  options: Options,
): Promise<Collection<CodesFile>> {
  const { channels } = options;
  const about = (text: string) =>
    `${model.name} · ${text}${channels ? ` (channels ${channels.join(", ")})` : ""} · ${reader.name}`;
  const keeper = await keepInFile(
    options.file!,
    names.map((layer) => ({ layer, about: about(layer) })),
    { layers: names, about: about(layersText(names)), size: reader.size, predictions: false, pictures: false },
  );
  try {
    await eachOf(model, reader, names, options, (images, parts, start) =>
      keeper.add({
        ids: images.map((image) => reader.nameOf(image)),
        labels: images.map(({ label }) => label),
        codes: parts.map((part) => {
          const length = part[0].maps.data.length;
          const data = new Float32Array(part.length * length);
          part.forEach(({ maps }, n) => data.set(maps.data, n * length));
          return { data, shape: [part.length, length] };
        }),
      }, start));
    return collect(await keeper.finish(reader.skipped), about("activations"));
  } catch (error) {
    await keeper.abandon?.();
    throw error;
  }
}
