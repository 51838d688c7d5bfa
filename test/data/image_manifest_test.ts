import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageError } from "../../lib/codec.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { imageFolder } from "../../lib/data/image_folder.ts";
import { imageManifest } from "../../lib/data/image_manifest.ts";
import { saveTable, toDataFrame } from "../../lib/data/table.ts";
import { GREY, png } from "./png.ts";

describe("imageManifest", () => {
  let root: string;
  const write = async (name: string, text: string) => {
    await Deno.writeTextFile(`${root}/${name}`, text);
    return `${root}/${name}`;
  };
  const failure = async (run: Promise<unknown>) => {
    const error = await run.then(() => undefined, (error) => error);
    expect(error).toBeInstanceOf(Error);
    return error as Error;
  };

  beforeAll(async () => {
    root = await Deno.makeTempDir();
    await Deno.mkdir(`${root}/pets/old`, { recursive: true });
    for (const [name, grey] of [["a", 10], ["b", 20], ["old/c", 30], ["old/d", 40]] as const) {
      await Deno.writeFile(`${root}/pets/${name}.png`, png({ width: 1, color: GREY, rows: [[grey]] }));
    }
    await Deno.writeTextFile(`${root}/pets/broken.png`, "no image");
  });
  afterAll(() => Deno.remove(root, { recursive: true }));

  const ROWS = [
    { path: "a.png", label: "dog", age: 3.5, indoors: true, code: "007" },
    { path: "old/c.png", label: "cat", age: 12, indoors: false, code: "12" },
    { path: "gone.png", label: "cat", age: 1, indoors: false, code: "13" },
    { path: "b.png", label: null, age: null, indoors: true, code: "14" },
  ];

  it("gives images, labels and all other columns, of CSV and of Parquet alike", async () => {
    const frame = await toDataFrame(ROWS);
    for (const name of ["pets/list.csv", "pets/list.parquet"]) {
      await saveTable(frame, `${root}/${name}`);
      const photos = await imageManifest(`${root}/${name}`);
      expect([photos.name, photos.size, photos.labels]).toEqual([name.slice(5), 3, ["cat", "dog"]]);
      expect(photos.summary).toEqual({
        images: 3,
        counts: [{ label: "cat", images: 1 }, { label: "dog", images: 1 }],
        passedOver: [{ path: "gone.png", reason: "there is no such file" }],
      });
      const items = await Array.fromAsync(photos);
      expect(items.map(({ image, ...known }) => ({ ...known, grey: image.data[0] }))).toEqual([
        { id: "a.png", label: "dog", path: "a.png", age: 3.5, indoors: true, code: "007", grey: 10 },
        { id: "old/c.png", label: "cat", path: "old/c.png", age: 12, indoors: false, code: "12", grey: 30 },
        { id: "b.png", path: "b.png", age: null, indoors: true, code: "14", grey: 20 },
      ]);
      expect(photos.filter(({ age }) => Number(age) > 10).counts).toEqual([{ label: "cat", images: 1 }]);
      expect(Deno.inspect(photos)).toContain('"gone.png": there is no such file');
    }
  });

  it("reads semicolons, tabs, quotes, marks of byte order and empty lines", async () => {
    for (const [name, sep] of [["s.csv", ";"], ["t.tsv", "\t"], ["c.csv", ","]]) {
      const lines = ["file_name,class,note", 'pets/a.png,7,"x, ""y"""', "", 'pets/b.png,08,"two\nlines"'];
      const path = await write(name, "\ufeff" + lines.join("\r\n").replaceAll(/,(?! )/g, sep) + "\r\n");
      const items = await Array.fromAsync(await imageManifest(path));
      expect(items.map(({ image: _, ...known }) => known)).toEqual([
        { id: "pets/a.png", label: "7", file_name: "pets/a.png", note: 'x, "y"' },
        { id: "pets/b.png", label: "08", file_name: "pets/b.png", note: "two\nlines" },
      ]);
    }
  });

  it("takes columns, a folder and labels that are named", async () => {
    const path = await write("named.csv", "key,picture,breed,label\nk1,a.png,1,x\nk2,old/d.png,0,y\nk3,b.png,pug,z\n");
    const options = {
      image: "picture",
      label: "breed",
      id: "key",
      folder: `${root}/pets`,
      labels: ["dog", "cat", "pug"],
    };
    const photos = await imageManifest(path, options);
    expect(photos.labels).toEqual(["dog", "cat", "pug"]);
    const known = (await Array.fromAsync(photos)).map(({ image, ...row }) => [row, image.data[0]]);
    expect(known).toEqual([
      [{ id: "k1", label: "cat", picture: "a.png" }, 10],
      [{ id: "k2", label: "dog", picture: "old/d.png" }, 40],
      [{ id: "k3", label: "pug", picture: "b.png" }, 20],
    ]);
    const cats = await imageManifest(path, { ...options, classes: ["cat"] });
    expect([cats.size, cats.labels]).toEqual([1, ["cat"]]);
    expect((await imageManifest(path, { ...options, limit: 2, seed: 1 })).size).toBe(2);
    // The same choice as of a folder, and a file that is damaged is met when it is read.
    const broken = await imageManifest(await write("broken.csv", "path\npets/a.png\npets/broken.png\n"));
    expect((await failure(Array.fromAsync(broken))).message).toContain("no image");
  });

  it("says what is wrong with a table, and what to do", async () => {
    const message = async (text: string, options = {}, name = "bad.csv") =>
      (await failure(imageManifest(await write(name, text), options))).message;
    expect(await message("picture,label\na.png,x\n")).toMatch(
      /no column of images: wanted one that is called path, file, .*\{ image: "…" \} names\. Its columns are "picture", "label"/,
    );
    expect(await message("path\na.png\n", { label: "lable" })).toContain('no column "lable"');
    expect(await message("path,image\na.png,b.png\n")).toMatch(
      /columns "path" and "image": say which.*\{ image: "path" \}/,
    );
    expect(await message("path\npets/a.png\npets/a.png\n")).toMatch(/Rows 1 and 2 .* the same id, "pets\/a\.png"/);
    expect(await message("path,label\npets/a.png,x\n", { labels: ["y"] })).toMatch(
      /row 1 .* is "x", .*none of the 1 labels/,
    );
    expect(await message("path,label\npets/a.png,x\n", { classes: ["y"] })).toContain('There is no label "y"');
    expect(await message("path\nnowhere.png\n")).toMatch(
      new RegExp(`None of the images .* meant from ${root}; .*folder: "…".*"nowhere.png" \\(there is no such file\\)`),
    );
    expect(await message("")).toContain("cannot be read as a CSV file");
    expect(await message("PAR1 but no more", {}, "bad.parquet")).toContain("cannot be read as a Parquet file");
    expect(await message("path\na.png\n", {}, "bad.txt")).toContain("ends in .csv, .tsv or .parquet");
    expect(await message("path\na.png\n", { path: "x" })).toContain("path");
    await saveTable(await toDataFrame([{ image: [1, 2] }]), `${root}/pixels.parquet`);
    expect((await failure(imageManifest(`${root}/pixels.parquet`))).message).toMatch(
      /"image" .* row 1 holds an image itself/,
    );
    expect(await failure(imageManifest(`${root}/nowhere.csv`))).toBeInstanceOf(ImageError);
    expect((await failure(imageManifest(root))).message).toContain("imageFolder(");
    expect((await failure(imageFolder(`${root}/bad.csv`))).message).toContain("imageManifest(");
    expect(() => dataset("photos.csv" as never)).toThrow("await imageManifest(path)");
  });
});
