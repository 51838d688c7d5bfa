import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { readCodes } from "../lib/data/codes_file.ts";
import { loadImage } from "../lib/data/image.ts";
import { loadModel } from "../lib/model/load.ts";
import { readCheckpoint } from "../lib/probe/training/checkpoint.ts";
import { bytesAt, FileError, fileNamedBy, PlacedFiles, placeOf, readFile } from "../lib/files.ts";

/** Names that lead elsewhere, or are none, with what the error says of them. */
const ELSEWHERE: [name: unknown, fault: RegExp][] = [
  ["../w.bin", /"..\/w.bin" is no name of a file beside .*: it leads to a folder above; wanted a path inside/],
  ["a/../../w.bin", /folder above/],
  ["a/b/../../../w.bin", /folder above/],
  ["..", /folder above/],
  ["%2e%2e/w.bin", /folder above/],
  ["%2e%2e%2fw.bin", /folder above/],
  [".%2E/w.bin", /folder above/],
  ["%252e%252e%252fw.bin", /folder above/],
  ["/etc/hostname", /begins at the root/],
  ["//host/w.bin", /begins at the root/],
  ["///host/w.bin", /begins at the root/],
  ["%2f%2fhost/w.bin", /begins at the root/],
  [" /etc/hostname", /begins at the root/],
  ["\\\\host\\w.bin", /backslash/],
  ["..\\w.bin", /backslash/],
  ["a%5c..%5cw.bin", /backslash/],
  ["file:///etc/hostname", /an address of its own/],
  ["FILE:/etc/hostname", /an address of its own/],
  ["http://host/w.bin", /an address of its own/],
  [" https://host/w.bin", /an address of its own/],
  ["http:w.bin", /an address of its own/],
  ["data:,x", /an address of its own/],
  ["C:w.bin", /names a drive/],
  ["\thttp://host/w.bin", /control characters/],
  ["ht\ntp://host/w.bin", /control characters/],
  ["w.bin\0.txt", /control characters/],
  ["w.bin%00", /control characters/],
  ["", /it is empty/],
  ["  ", /it is empty/],
  [5, /it is 5/],
  [null, /it is null/],
  [undefined, /it is undefined/],
  [{}, /it is an object/],
  [["w.bin"], /it is an array/],
  [true, /it is true/],
];

describe("a file that another file names", () => {
  test.each(ELSEWHERE)("%j is refused", (name, fault) => {
    for (const owner of ["file:///m/model.json", "http://host/m/model.json?token=1", "https://host/model.json"]) {
      expect(() => fileNamedBy(new URL(owner), name)).toThrow(FileError);
      expect(() => fileNamedBy(new URL(owner), name)).toThrow(fault);
    }
  });

  test.each([
    ["w.bin", "file:///m/w.bin"],
    ["a/b/w.bin", "file:///m/a/b/w.bin"],
    ["a/../w.bin", "file:///m/w.bin"],
    ["./w.bin", "file:///m/w.bin"],
    ["w 1#2?3 50%.bin", "file:///m/w%201%232%3F3%2050%25.bin"],
    ["a%20b.bin", "file:///m/a%2520b.bin"],
    ["...bin", "file:///m/...bin"],
  ])("%j on disk is just that name", (name, address) => {
    expect(fileNamedBy(new URL("file:///m/model.json"), name).href).toBe(address);
  });

  test.each([
    ["http://h/m/model.json", "w.bin", "http://h/m/w.bin"],
    ["http://h/m/model.json?token=1&x", "w.bin", "http://h/m/w.bin?token=1&x"],
    ["http://h/m/model.json?token=1", "w.bin?part=2", "http://h/m/w.bin?part=2&token=1"],
    ["http://h/50%_off/model.json", "w 50%#1.bin", "http://h/50%_off/w%2050%25%231.bin"],
    ["http://h/m/model.json#x", "a/w%201.bin", "http://h/m/a/w%201.bin"],
    ["http://u:p@h:81/model.json", "w.bin", "http://u:p@h:81/w.bin"],
  ])("of the web: beside %s, %s is %s", (owner, name, address) => {
    expect(fileNamedBy(new URL(owner), name).href).toBe(address);
  });
});

test("a place is shown without what may be secret, and never throws", () => {
  expect(placeOf(new URL("http://u:p@h/m.json?token=1#x"))).toBe("http://h/m.json");
  expect(placeOf(new URL("file:///a/50%_off/m.json?x"))).toBe("/a/50%_off/m.json");
});

describe("reading", () => {
  let root: string;
  let owner: URL;
  const read = (name: string, bytes = 100) => readFile(fileNamedBy(owner, name), { room: { bytes }, owner });

  beforeAll(async () => {
    root = await Deno.realPath(await Deno.makeTempDir());
    await Deno.mkdir(`${root}/m/inner`, { recursive: true });
    await Deno.mkdir(`${root}/m2`);
    for (const name of ["m/model.json", "m/w.bin", "m/inner/w.bin", "secret.bin", "m2/w.bin"]) {
      await Deno.writeTextFile(`${root}/${name}`, name);
    }
    await Deno.symlink("inner/w.bin", `${root}/m/link.bin`);
    await Deno.symlink("../secret.bin", `${root}/m/out.bin`);
    // A folder whose name begins as the model's does is another folder.
    await Deno.symlink("../m2", `${root}/m/out`);
    await Deno.symlink("circle.bin", `${root}/m/circle.bin`);
    await Deno.symlink("/dev/zero", `${root}/m/zero.bin`);
    await Deno.symlink("m", `${root}/latest`);
    owner = pathToFileURL(`${root}/m/model.json`);
  });
  afterAll(() => Deno.remove(root, { recursive: true }));

  test("what is inside, through links too", async () => {
    const text = async (name: string) => new TextDecoder().decode(await read(name));
    expect(await text("w.bin")).toBe("m/w.bin");
    expect(await text("inner/w.bin")).toBe("m/inner/w.bin");
    expect(await text("link.bin")).toBe("m/inner/w.bin");
    const linked = pathToFileURL(`${root}/latest/model.json`);
    expect((await readFile(fileNamedBy(linked, "w.bin"), { room: { bytes: 9 }, owner: linked })).length).toBe(7);
  });

  test("files that are all links into one folder, as in a cache", async () => {
    await Deno.mkdir(`${root}/cache`);
    await Deno.symlink("../m/model.json", `${root}/cache/model.json`);
    await Deno.symlink("../m/w.bin", `${root}/cache/w.bin`);
    await Deno.symlink("../secret.bin", `${root}/cache/out.bin`);
    const linked = pathToFileURL(`${root}/cache/model.json`);
    const readLinked = (name: string) => readFile(fileNamedBy(linked, name), { room: { bytes: 9 }, owner: linked });
    expect((await readLinked("w.bin")).length).toBe(7);
    await expect(readLinked("out.bin")).rejects.toThrow("leads out of the folder");
  });

  test.each([
    ["out.bin", /a symbolic link that leads out of the folder, to .*secret\.bin/],
    ["out/w.bin", /leads out of the folder/],
    ["zero.bin", /leads out of the folder/],
    ["circle.bin", /symbolic links/],
    ["none.bin", /there is no such file/],
    ["w.bin/x", /there is no such file/],
    ["inner", /it is a folder; wanted a file/],
  ])("%s is refused", async (name, reason) => {
    await expect(read(name)).rejects.toThrow(reason);
    await expect(read(name)).rejects.toThrow(FileError);
  });

  test("devices and pipes are never opened", async () => {
    await expect(readFile(pathToFileURL("/dev/zero"), { room: { bytes: 1e9 } })).rejects.toThrow("a device or pipe");
    const pipe = `${root}/m/pipe`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    await expect(read("pipe")).rejects.toThrow("a device or pipe");
    for (const path of [pipe, "/dev/zero"]) {
      await expect(readCheckpoint(path)).rejects.toThrow(/checkpoint .* cannot be read: it is a device or pipe/);
      await expect(readCodes(path)).rejects.toThrow("is a device or pipe; wanted a Parquet file");
      await expect(loadModel(path)).rejects.toThrow("a device or pipe");
      await expect(loadImage(path)).rejects.toThrow("not a regular file");
    }
    expect(await readCheckpoint(`${root}/none`)).toBe(null);
  });

  test("no more than there is room for, all files together", async () => {
    await expect(read("w.bin", 6)).rejects.toThrow("it holds 7 bytes and more where at most 6 are wanted");
    const room = { bytes: 13 };
    await readFile(fileNamedBy(owner, "w.bin"), { room, owner });
    await expect(readFile(fileNamedBy(owner, "link.bin"), { room, owner })).rejects.toThrow("at most 6 are wanted");
  });
});

describe("reading from the web", () => {
  const asked: string[] = [];
  const serve = (answer: (path: string) => Response) =>
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      asked.push(request.url);
      return answer(new URL(request.url).pathname);
    });
  const other = serve(() => new Response("secret"));
  const away = `http://127.0.0.1:${other.addr.port}/w.bin`;
  const redirect = (location: string) => new Response(null, { status: 302, headers: { location } });
  const endless = () =>
    new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65536)) }));
  const own = serve((path) => {
    if (path === "/m/w.bin") return new Response("here");
    if (path === "/m/moved.bin") return redirect("w.bin");
    if (path === "/m/away.bin") return redirect(away);
    if (path === "/m/away2.bin") return redirect("away.bin");
    if (path === "/m/disk.bin") return redirect("file:///etc/hostname");
    if (path === "/m/circle.bin") return redirect("circle.bin");
    if (path === "/m/endless.bin") return endless();
    if (path === "/m/silent.bin") return new Response(new ReadableStream());
    return new Response("no", { status: 404 });
  });
  const owner = new URL(`http://127.0.0.1:${own.addr.port}/m/model.json?token=1`);
  const read = (name: string) => readFile(fileNamedBy(owner, name), { room: { bytes: 1e6 }, owner, timeout: 200 });
  afterAll(() => Promise.all([own.shutdown(), other.shutdown()]));

  test("the file, with its owner's query, and where it has moved on the same host", async () => {
    expect(new TextDecoder().decode(await read("w.bin"))).toBe("here");
    expect(asked.at(-1)).toMatch(/\/m\/w\.bin\?token=1$/);
    expect(new TextDecoder().decode(await read("moved.bin"))).toBe("here");
  });

  test("a file that is read in parts is kept on disk as long as it is wanted", async () => {
    let path: string;
    {
      await using files = new PlacedFiles();
      const place = await files.find(fileNamedBy(owner, "w.bin"), { room: { bytes: 4 }, owner });
      path = place.path;
      expect(new TextDecoder().decode(bytesAt(place, 1, 2))).toBe("er");
      expect(() => bytesAt(place, 3, 2)).toThrow("has become shorter");
      // What is still being fetched is given up.
      const silent = files.find(fileNamedBy(owner, "silent.bin"), { room: { bytes: 4 }, owner });
      silent.catch(() => {});
      await expect(files.find(fileNamedBy(owner, "w.bin"), { room: { bytes: 3 }, owner })).rejects.toThrow("at most 3");
    }
    await expect(Deno.stat(dirname(path))).rejects.toThrow(Deno.errors.NotFound);
  });

  test("no room for it is said, with what to do", async () => {
    const before = Deno.env.get("TMPDIR");
    Deno.env.set("TMPDIR", "/dev/null");
    try {
      await using files = new PlacedFiles();
      await expect(files.find(fileNamedBy(owner, "w.bin"), { room: { bytes: 4 }, owner })).rejects.toThrow(
        /could not be kept in the folder for temporary files: .*; free some space there, or name another .*TMPDIR/,
      );
    } finally {
      if (before === undefined) Deno.env.delete("TMPDIR");
      else Deno.env.set("TMPDIR", before);
    }
  });

  test.each([
    ["away.bin", /redirected to another host, http:\/\/127/],
    ["away2.bin", /redirected to another host/],
    ["disk.bin", /redirected to another host/],
    ["circle.bin", /redirected in a circle/],
    ["endless.bin", /where at most \d+ are wanted/],
    ["silent.bin", /it sent nothing for 0.2 s/],
    ["none.bin", /the answer was 404 Not Found/],
  ])("%s is refused, and no other host asked", async (name, reason) => {
    asked.length = 0;
    await expect(read(name)).rejects.toThrow(reason);
    expect(asked.filter((url) => !url.startsWith(owner.origin))).toEqual([]);
  });
});
