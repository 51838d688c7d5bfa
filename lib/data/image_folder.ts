/**
 * The images of a folder.
 *
 * @module
 */

import { basename, isAbsolute, join, relative, resolve } from "node:path";
import { ImageError } from "../codec.ts";
import { kindOf, messageOf, unknownName } from "../errors.ts";
import { IMAGE_NAMES, reasonByName } from "../image_file.ts";
import { interruptible } from "../interrupt.ts";
import { arrayOf, flag, readOptions, text, whole } from "../options.ts";
import { randomStream, shuffled } from "../random.ts";
import { byCodeUnit, type DatasetRow, ImageDataset, shortened } from "./dataset.ts";
import { imageFile, loadImage, unopened } from "./image.ts";
import type { LabelCount } from "./sample.ts";
import { TABLE_NAME } from "./table.ts";

/** Which of many image files are wanted, and where they are kept as models saw them. */
export class ImageFilesOptions {
  /**
   * At most this many images, chosen at random by `seed`; they keep their order.
   * @default all
   */
  @whole(1)
  limit?: number;
  /**
   * The choice of images depends on it, where there is a `limit`.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * A folder, made if it is missing, in which images are kept as models saw them, so that the next kernel need not decode
   * them again. One that has changed since is decoded anew. It can be deleted at any time.
   * @default none: they are kept in memory, as many as there is room for, as long as the kernel lives
   */
  @text()
  cache?: string;
}

/** Which images of a folder are wanted. */
export class ImageFolderOptions extends ImageFilesOptions {
  /**
   * Only the sub-folders of these names. Others are not looked into.
   * @default all
   */
  @arrayOf('sub-folders\' names, as ["cat", "dog"]')
  classes?: readonly string[];
  /**
   * How deep images are looked for. `false`: only those that are directly in the folder or, where there are none or
   * `classes` are asked for, directly in its sub-folders. `true`: all of them; in a folder that holds images both directly
   * and in sub-folders, the former have no label.
   * @default all, but a folder that holds images both directly and in sub-folders is refused
   */
  @flag()
  recursive?: boolean;
}

/** A file or folder that is no image of a data set. */
export interface PassedOver {
  /** Its path inside the folder. */
  readonly path: string;
  /** Why it was passed over. */
  readonly reason: string;
}

/** What a folder or a list holds. */
export interface FolderSummary {
  /** How many images the data set has. */
  readonly images: number;
  /** How many of them each class has: one row a label, 0 where there is none; empty without labels. */
  readonly counts: readonly LabelCount[];
  /**
   * What was passed over: other files, links that lead nowhere, folders that cannot be opened, hidden names; of a list
   * files that are not there.
   */
  readonly passedOver: readonly PassedOver[];
}

/** What {@linkcode ImageFolder} is made of. */
interface FilesParts {
  name: string;
  /** What relative paths of files are meant from, absolute. */
  from: string;
  labels?: readonly string[];
  rows: readonly DatasetRow[];
  /** The path of the image at a place, or its address. */
  pathOf: (place: number) => string | URL;
  passedOver: readonly PassedOver[];
  cache?: string;
}

/** The images of a folder or of a list of paths, as {@linkcode imageFolder} and `imageManifest` give them. */
export class ImageFolder extends ImageDataset {
  /** What it holds and what was passed over. What is cut, filtered or split off has none. */
  readonly summary: FolderSummary;

  /** @internal */
  constructor({ name, from, labels, rows, pathOf, passedOver, cache }: FilesParts) {
    super({
      name,
      labels,
      rows,
      async *walk(places) {
        for (const place of places) {
          const known = rows[place];
          const path = pathOf(place);
          yield path instanceof URL ? { known, read: () => loadImage(path) } : {
            known,
            read: () => imageFile(path, from),
            file: { path: resolve(from, path), folder: cache },
          };
        }
      },
    });
    this.summary = { images: rows.length, counts: this.counts, passedOver };
  }

  /** @internal */
  protected override get text(): string {
    const over = this.summary.passedOver.map(({ path, reason }) => `  ${JSON.stringify(path)}: ${reason}`);
    return [super.text, ...(over.length ? ["Passed over:", ...shortened(over, ".summary")] : [])].join("\n");
  }

  /** @internal */
  protected override get note(): string {
    const { passedOver } = this.summary;
    return passedOverNote(passedOver).trim();
  }
}

/** What is in a folder. */
interface Found {
  /** Paths of images inside the folder asked for. */
  images: string[];
  /** Names of sub-folders. */
  folders: string[];
}

/** Looks into a folder and its sub-folders, and keeps what it passes over. */
class Walker {
  readonly passedOver: PassedOver[] = [];
  readonly #signal = interruptible();

  /** @param root the folder asked for, absolute */
  constructor(readonly root: string) {}

  /**
   * The images and sub-folders directly in a folder.
   *
   * @param inside its path inside the root, "" for the root itself
   */
  async list(inside: string): Promise<Found> {
    const found: Found = { images: [], folders: [] };
    let names: string[];
    try {
      names = (await Array.fromAsync(Deno.readDir(join(this.root, inside)))).map(({ name }) => name).sort(byCodeUnit);
    } catch (error) {
      if (inside === "") throw unopened(JSON.stringify(this.root), error);
      this.#pass(inside, `cannot be opened: ${messageOf(error)}`);
      return found;
    }
    for (const name of names) {
      this.#signal.throwIfAborted();
      const path = inside === "" ? name : `${inside}/${name}`;
      if (name.startsWith(".")) {
        this.#pass(path, "hidden: its name starts with a dot");
        continue;
      }
      // Asked of the file itself, so that symbolic links are followed.
      const info = await Deno.stat(join(this.root, path)).catch((error: Error) => error);
      if (info instanceof Error) this.#pass(path, await this.#whyLost(path, info));
      else if (info.isDirectory) found.folders.push(name);
      else {
        const reason = reasonByName(name) ?? (info.isFile ? undefined : "not a regular file");
        if (reason === undefined) found.images.push(path);
        else this.#pass(path, reason);
      }
    }
    return found;
  }

  /** All images in a folder, however `deep`. A link back to a folder on the way to it is passed over. */
  async all(inside: string, above: readonly string[], deep: boolean): Promise<string[]> {
    const real = await Deno.realPath(join(this.root, inside));
    if (above.includes(real)) {
      this.#pass(inside, "a link to a folder that it is in");
      return [];
    }
    const { images, folders } = await this.list(inside);
    if (!deep) this.leave(folders.map((name) => `${inside}/${name}`));
    else for (const name of folders) images.push(...await this.all(`${inside}/${name}`, [...above, real], deep));
    return images.sort(byCodeUnit);
  }

  /** Notes sub-folders that are not looked into. */
  leave(folders: readonly string[]): void {
    for (const path of folders) this.#pass(path, "a sub-folder, and recursive is false");
  }

  async #whyLost(path: string, error: Error): Promise<string> {
    const { isSymlink = false } = await Deno.lstat(join(this.root, path)).catch(() => ({}) as Partial<Deno.FileInfo>);
    if (isSymlink && error instanceof Deno.errors.NotFound) return "a link to a file that is not there";
    if (error instanceof Deno.errors.FilesystemLoop) return "a link that leads back to itself";
    return `cannot be opened: ${messageOf(error)}`;
  }

  #pass(path: string, reason: string): void {
    this.passedOver.push({ path, reason });
  }
}

/** At most `limit` of some places, chosen by `seed`, in their order. */
export function chosenPlaces(count: number, limit: number | undefined, seed: number): number[] {
  if (limit === undefined || limit >= count) return Array.from({ length: count }, (_, place) => place);
  return Array.from(shuffled(count, randomStream(seed)).slice(0, limit).sort());
}

/** The first of what was passed over, as a sentence for an error. */
export function passedOverNote(passedOver: readonly PassedOver[]): string {
  if (passedOver.length === 0) return "";
  const shown = passedOver.slice(0, 3).map(({ path, reason }) => `${JSON.stringify(path)} (${reason})`).join(", ");
  return ` Passed over: ${shown}${passedOver.length > 3 ? ` and ${passedOver.length - 3} more` : ""}.`;
}

/**
 * Makes the folder of a cache, if it is missing.
 *
 * @param root the folder of images, its links followed; undefined where the images lie in no one folder
 */
export async function checkCache(cache: string, root?: string): Promise<void> {
  const quoted = JSON.stringify(cache);
  await Deno.mkdir(cache, { recursive: true }).catch((error) => {
    throw new ImageError(
      `The cache ${quoted} cannot be made: ${messageOf(error)}. Give a folder that can be written.`,
      {
        cause: error,
      },
    );
  });
  if (root === undefined) return;
  const inside = relative(root, await Deno.realPath(cache));
  if (inside === "" || (!inside.startsWith("..") && !isAbsolute(inside))) {
    throw new RangeError(`The cache ${quoted} is in the folder of the images, ${root}; wanted a folder beside it.`);
  }
}

/**
 * The images of a folder: either all directly in it, without labels, or in sub-folders, whose names are the labels.
 *
 * Read are files that end in `.jpg`, `.jpeg`, `.jfif`, `.png`, `.webp`, `.gif`, `.tif`, `.tiff` or `.avif`, in the order
 * of their names, those deeper in a sub-folder too. BMP, HEIC and SVG are not read: convert them to PNG. What is passed
 * over is in `summary` with the reason; a sub-folder without images stays a label, with 0 images, so that the
 * numbers of the classes do not move. Ids are paths inside the folder, as `"cat/01.jpg"`.
 *
 * In a cell it shows how many images each label has, and a sample of them.
 *
 * @param path the folder; a relative one is meant from the working directory of now, also when that changes later
 * @throws {ImageError} if there is no such folder, it holds no image, or it holds images both directly and in
 * sub-folders; while it is walked, if an image cannot be read
 * @throws {RangeError} if there is no sub-folder of a class, the limit is not a whole number ≥ 1, or the cache is in the
 * folder itself
 *
 * @example
 * ```ts
 * import { imageFolder } from "@convlens/convlens";
 * const photos = await imageFolder("photos", { limit: 1000 });
 * console.log(photos.summary.counts, photos.summary.passedOver);
 * const [seen, kept] = photos.split(0.8);
 * console.log(seen.size, kept.size);
 * ```
 */
export async function imageFolder(path: string, options: Partial<ImageFolderOptions> = {}): Promise<ImageFolder> {
  const { limit, classes, seed, recursive, cache } = readOptions("imageFolder", ImageFolderOptions, options);
  if (typeof path !== "string") throw new TypeError(`imageFolder wants a path: received ${kindOf(path)}.`);
  const from = resolve();
  const quoted = JSON.stringify(path);
  const info = await Deno.stat(resolve(path)).catch((error: Error) => error);
  if (info instanceof Deno.errors.NotFound) throw new ImageError(`There is no folder ${quoted}.`);
  if (info instanceof Error) throw unopened(quoted, info);
  if (!info.isDirectory) {
    throw new ImageError(
      `${quoted} is a file; wanted a folder of images. ` +
        (TABLE_NAME.test(path)
          ? `imageManifest(${quoted}) reads the images whose paths it lists.`
          : `loadImage(${quoted}) reads a single one.`),
    );
  }
  const walker = new Walker(resolve(path));
  const { passedOver } = walker;
  const { images, folders } = await walker.list("");
  const unknown = classes?.find((name) => !folders.includes(name));
  if (unknown !== undefined) throw unknownName("sub-folder", String(unknown), folders, `the folder ${quoted}`);
  const direct: DatasetRow[] = classes ? [] : images.map((id) => ({ id }));
  const flat = recursive === false && direct.length > 0;
  if (flat) walker.leave(folders);
  const labels = flat ? [] : folders.filter((name) => !classes || classes.includes(name));
  const root = await Deno.realPath(walker.root);
  const labelled: DatasetRow[] = [];
  for (const label of labels) {
    for (const id of await walker.all(label, [root], recursive !== false)) labelled.push({ id, label });
  }
  if (direct.length === 0 && labelled.length === 0) {
    throw new ImageError(
      `The folder ${quoted} holds no image: wanted files that end in ${IMAGE_NAMES}, ` +
        `in it or in sub-folders named after their labels.${passedOverNote(passedOver)}`,
    );
  }
  if (direct.length > 0 && labelled.length > 0 && !recursive) {
    throw new ImageError(
      `The folder ${quoted} holds images directly (${JSON.stringify(direct[0].id)}) and in sub-folders ` +
        `(${JSON.stringify(labelled[0].label)}), so that some would have labels and some not. ` +
        `Put all of them in sub-folders, or none; or leave out the sub-folders by recursive: false, or take all by ` +
        `recursive: true.`,
    );
  }
  const all = [...direct, ...labelled];
  if (cache !== undefined) await checkCache(cache, root);
  const rows = chosenPlaces(all.length, limit, seed).map((place) => all[place]);
  return new ImageFolder({
    name: basename(resolve(path)),
    from,
    ...(labelled.length > 0 && { labels }),
    rows,
    pathOf: (place) => join(path, rows[place].id),
    passedOver,
    ...(cache !== undefined && { cache: resolve(cache) }),
  });
}
