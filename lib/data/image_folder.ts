/**
 * The images of a folder.
 *
 * @module
 */

import { basename, join } from "node:path";
import { ImageError } from "../codec.ts";
import { kindOf } from "../errors.ts";
import { byCodeUnit, ImageDataset } from "./dataset.ts";
import { loadImage } from "./image.ts";

/** The names in a folder, hidden ones left out: its sub-folders, and its image files. */
async function list(folder: string): Promise<{ folders: string[]; images: string[] }> {
  const folders: string[] = [];
  const images: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(".")) continue;
    // Asked of the file itself, so that symbolic links are followed.
    const { isDirectory } = await Deno.stat(join(folder, name));
    if (isDirectory) folders.push(name);
    else if (/\.(jpe?g|png|webp)$/i.test(name)) images.push(name);
  }
  return { folders: folders.sort(byCodeUnit), images: images.sort(byCodeUnit) };
}

/**
 * The images of a folder: either all directly in it, without labels, or in sub-folders, whose names are the labels.
 *
 * Read are files that end in `.jpg`, `.jpeg`, `.png` or `.webp`, in the order of their names; other files, hidden ones
 * and sub-folders without images are passed over. Ids are paths inside the folder, as `"cat/01.jpg"`.
 *
 * @throws {ImageError} if there is no such folder, it holds no image, or it holds images both directly and in
 * sub-folders; while it is walked, if an image cannot be read
 *
 * @example
 * ```ts
 * import { imageFolder } from "@convlens/convlens";
 * const [seen, kept] = (await imageFolder("photos")).split(0.8);
 * console.log(seen.size, kept.size);
 * ```
 */
export async function imageFolder(path: string): Promise<ImageDataset> {
  if (typeof path !== "string") throw new TypeError(`imageFolder wants a path: received ${kindOf(path)}.`);
  const quoted = JSON.stringify(path);
  const info = await Deno.stat(path).catch((error: Error) => error);
  if (info instanceof Deno.errors.NotFound) throw new ImageError(`There is no folder ${quoted}.`);
  if (info instanceof Error) throw info;
  if (!info.isDirectory) {
    throw new ImageError(`${quoted} is a file; wanted a folder of images. loadImage(${quoted}) reads a single one.`);
  }
  const { folders, images } = await list(path);
  const files: { id: string; label?: string }[] = images.map((id) => ({ id }));
  for (const label of folders) {
    for (const name of (await list(join(path, label))).images) files.push({ id: `${label}/${name}`, label });
  }
  const labels = [...new Set(files.flatMap(({ label }) => label ?? []))];
  if (files.length === 0) {
    throw new ImageError(
      `The folder ${quoted} holds no image: wanted files that end in .jpg, .jpeg, .png or .webp, ` +
        `in it or in sub-folders named after their labels.`,
    );
  }
  if (images.length > 0 && labels.length > 0) {
    throw new ImageError(
      `The folder ${quoted} holds images directly (${JSON.stringify(images[0])}) and in sub-folders ` +
        `(${JSON.stringify(labels[0])}), so that some would have labels and some not. ` +
        `Put all of them in sub-folders, or none.`,
    );
  }
  return new ImageDataset({
    name: basename(path),
    ...(labels.length > 0 && { labels }),
    rows: files,
    async *walk(places) {
      for (const place of places) {
        const known = files[place];
        yield { known, read: () => loadImage(join(path, known.id)) };
      }
    },
  });
}
