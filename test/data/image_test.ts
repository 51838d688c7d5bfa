import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageError } from "../../lib/codec.ts";
import { Image, loadImage, toImage } from "../../lib/data/image.ts";
import { pathToFileURL } from "node:url";
import { photoFile } from "./registry.ts";

const pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
let folder: string;

beforeAll(async () => {
  folder = await Deno.makeTempDir();
  await Deno.writeFile(`${folder}/tiny.png`, photoFile);
  await Deno.writeFile(`${folder}/two words.png`, photoFile);
  await Deno.writeFile(`${folder}/<b onclick="x">&'.png`, photoFile);
  await Deno.writeTextFile(`${folder}/notes.jpg`, "Milk, bread, a lens.");
  await Deno.writeFile(`${folder}/half.png`, photoFile.subarray(0, 50));
});
afterAll(() => Deno.remove(folder, { recursive: true }));

const failure = async (promise: Promise<unknown>): Promise<Error> => {
  const error = await promise.then(() => undefined, (error) => error);
  expect(error).toBeInstanceOf(Error);
  return error;
};

describe("loadImage from a file", () => {
  it("takes a path, a relative one too, and a file URL", async () => {
    const path = `${folder}/two words.png`;
    for (const source of [path, pathToFileURL(path), pathToFileURL(path).href]) {
      const image = await loadImage(source);
      expect(image).toBeInstanceOf(Image);
      expect(image.shape).toEqual([2, 2, 3]);
      expect(Array.from(image.data)).toEqual(pixels);
      expect(image.name).toBe("two words.png");
      expect(image.source).toBe(path);
    }
    const cwd = Deno.cwd();
    Deno.chdir(folder);
    try {
      expect((await loadImage("tiny.png")).name).toBe("tiny.png");
    } finally {
      Deno.chdir(cwd);
    }
  });

  it("names a missing file, where it looked, and the nearest ones", async () => {
    const error = await failure(loadImage(`${folder}/tini.png`));
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toContain(`There is no file "${folder}/tini.png" (looked for ${folder}/tini.png).`);
    expect(error.message).toContain('The nearest there: "tiny.png"');
    expect((await failure(loadImage(`${folder}/no/such.png`))).message).toContain(
      `There is no folder ${folder}/no either.`,
    );
    expect((await failure(loadImage(`${folder}/tiny.png/x.png`))).message).toContain(
      `There is no folder ${folder}/tiny.png either.`,
    );
  });

  it("points to the catalogue when a photo's name was taken for a path", async () => {
    expect((await failure(loadImage("dog"))).message).toContain('call photo("dog")');
  });

  it("names a text file with an image's name, and a damaged image", async () => {
    expect((await failure(loadImage(`${folder}/notes.jpg`))).message).toMatch(
      /notes\.jpg" is not an image.*found text that starts with "Milk, bread, a lens\."; wanted JPEG, PNG or WebP/,
    );
    expect((await failure(loadImage(`${folder}/half.png`))).message).toMatch(/half\.png" cannot be decoded/);
  });

  it("refuses a folder, a device and a file that is too long", async () => {
    expect((await failure(loadImage(folder))).message).toContain("is a folder; wanted an image file. imageFolder(");
    expect((await failure(loadImage("/dev/zero"))).message).toContain("not a regular file");
    const path = `${folder}/long.jpg`;
    await Deno.writeFile(path, new Uint8Array());
    await Deno.truncate(path, 300_000_000);
    expect((await failure(loadImage(path))).message).toMatch(/300000000 bytes long; wanted .* at most 256000000 bytes/);
    await Deno.remove(path);
  });
});

describe("loadImage from bytes", () => {
  it("takes a Uint8Array, an ArrayBuffer, a Blob and a File", async () => {
    for (const source of [photoFile, photoFile.buffer, new Blob([photoFile])]) {
      const image = await loadImage(source);
      expect(Array.from(image.data)).toEqual(pixels);
      expect(image.name).toBe("image");
    }
    expect((await loadImage(new File([photoFile], "mine.png"))).name).toBe("mine.png");
  });

  it("refuses anything else", async () => {
    for (const [source, found] of [[7, "7"], [null, "null"], [{}, "an object"]] as const) {
      const error = await failure(loadImage(source as never));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(new RegExp(`loaded from a path, .* received ${found}\\.`));
    }
    expect((await failure(loadImage("ftp://example.com/a.png"))).message).toContain(
      "starts with file:, http: or https:",
    );
  });
});

describe("loadImage from the web", () => {
  let server: Deno.HttpServer<Deno.NetAddr>;
  let plain: Deno.Listener;
  let base: string;
  let cutOff: string;
  const open: Deno.Conn[] = [];

  beforeAll(() => {
    const endless = (bytes: Uint8Array<ArrayBuffer>, often: boolean) =>
      new Response(
        new ReadableStream({
          start: (controller) => often ? undefined : controller.enqueue(bytes),
          pull: (controller) => often ? controller.enqueue(bytes) : new Promise(() => {}),
        }),
      );
    server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
      const { pathname } = new URL(url);
      if (pathname === "/a%20photo.png") return new Response(photoFile);
      if (pathname === "/moved") return Response.redirect(`${base}/a%20photo.png`, 302);
      if (pathname === "/page.jpg") return new Response("<!doctype html><p>Sign in", { status: 200 });
      if (pathname === "/stalls.png") return endless(photoFile.slice(0, 30), false);
      if (pathname === "/endless.png") return endless(new Uint8Array(1 << 20), true);
      if (pathname === "/silent.png") return new Promise<Response>(() => {});
      return new Response("no", { status: pathname === "/secret.png" ? 403 : 404 });
    });
    base = `http://127.0.0.1:${server.addr.port}`;
    // Promises 1000 bytes, sends 30 and hangs up.
    plain = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    cutOff = `http://127.0.0.1:${(plain.addr as Deno.NetAddr).port}/cut.png`;
    (async () => {
      for await (const connection of plain) {
        open.push(connection);
        await connection.read(new Uint8Array(4096));
        const head = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n";
        await connection.write(new TextEncoder().encode(head));
        await connection.write(photoFile.subarray(0, 30));
        connection.close();
      }
    })();
  });
  afterAll(() => {
    plain.close();
    // Not shutdown(), which would wait for the stalled answers.
    server.unref();
  });

  it("takes an address, as text or URL, through a redirect too", async () => {
    for (const source of [`${base}/a photo.png`, new URL(`${base}/a%20photo.png`)]) {
      const image = await loadImage(source);
      expect(Array.from(image.data)).toEqual(pixels);
      expect(image.name).toBe("a photo.png");
      expect(image.source).toBe(`${base}/a%20photo.png`);
    }
    expect((await loadImage(`${base}/moved`)).shape).toEqual([2, 2, 3]);
  });

  it("names the status of an address that has no image", async () => {
    for (const [path, status] of [["gone.png", "404 Not Found"], ["secret.png", "403 Forbidden"]]) {
      const error = await failure(loadImage(`${base}/${path}`));
      expect(error).toBeInstanceOf(ImageError);
      expect(error.message).toContain(`"${base}/${path}" was answered with the status ${status}; wanted an image.`);
    }
    expect((await failure(loadImage(`${base}/page.jpg`))).message).toContain("found an HTML page; wanted JPEG");
  });

  it("gives up when nothing comes, before the answer and in the middle of it", async () => {
    for (const path of ["silent.png", "stalls.png"]) {
      const start = performance.now();
      const error = await failure(loadImage(`${base}/${path}`, { timeout: 200 }));
      expect(error).toBeInstanceOf(ImageError);
      expect(error.message).toMatch(/could not be fetched: it sent nothing for 0\.2 s\. Check the network/);
      // Without the option it would wait for 30 s.
      expect(performance.now() - start).toBeLessThan(25_000);
    }
  });

  it("refuses what is cut off and what never ends", async () => {
    expect((await failure(loadImage(cutOff))).message).toMatch(/cut\.png" could not be fetched: /);
    expect((await failure(loadImage(`${base}/endless.png`))).message).toContain("sends more than 256000000 bytes");
  });

  it("names an address that cannot be reached", async () => {
    const error = await failure(loadImage("http://127.0.0.1:9/a.png"));
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(/"http:\/\/127\.0\.0\.1:9\/a\.png" could not be fetched: .*Check the network/);
  });
});

describe("toImage", () => {
  const array = (shape: number[], fill = 5) => ({
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill),
    shape,
  });

  it("takes an Image as it is, an array, and what loadImage takes", async () => {
    const image = await loadImage(photoFile);
    expect(await toImage(image)).toBe(image);
    expect((await toImage(array([2, 3, 3]))).shape).toEqual([2, 3, 3]);
    expect((await toImage(`${folder}/tiny.png`)).name).toBe("tiny.png");
    expect((await toImage(array([2, 3, 3], 0))).data.every((value) => value === 0)).toBe(true);
  });

  it("refuses another shape, with the remedy, and what is not finite", async () => {
    const wanted = /shape \[height, width, 3\], in grey .+ or \[height, width, bands\]: received an array of shape/;
    for (const shape of [[4], [1, 2, 2, 3], [0, 2, 3]]) {
      await expect(toImage(array(shape))).rejects.toThrow(wanted);
    }
    for (const shape of [[2, 2], [2, 2, 1]]) {
      const grey = await toImage(array(shape));
      expect([grey.shape, grey.rgb().shape]).toEqual([[2, 2, 1], [2, 2, 3]]);
    }
    expect((await toImage(array([2, 2, 4]))).shape).toEqual([2, 2, 4]);
    await expect(toImage({ data: new Float32Array(11), shape: [2, 2, 3] })).rejects.toThrow(/holds 12 values/);
    for (const value of [NaN, Infinity]) {
      const bad = array([2, 4, 3]);
      bad.data[(1 * 4 + 2) * 3 + 1] = value;
      await expect(toImage(bad)).rejects.toThrow(`holds ${value} at row 1, column 2, channel 1: wanted finite numbers`);
    }
  });
});

describe("an image's figure", () => {
  const sizeOf = (html: string) => html.match(/<img[^>]*src="data:image\/png;base64,([^"]+)"/);

  it("shows file names with HTML as text", async () => {
    const image = await loadImage(`${folder}/<b onclick="x">&'.png`);
    const html = await image.figure().html();
    expect(html).not.toContain("<b ");
    expect(html).toContain("&lt;b onclick=&quot;x&quot;&gt;&amp;&#39;.png");
    expect(sizeOf(html)).not.toBeNull();
  });

  it("shows the very pixels, a small image enlarged by a whole factor, a large one made smaller", async () => {
    const shown = async (image: Image) => {
      const [, base64] = sizeOf(await image.figure().html())!;
      return await loadImage(Uint8Array.fromBase64(base64));
    };
    const tiny = await shown(await loadImage(photoFile));
    expect(tiny.shape).toEqual([192, 192, 3]);
    for (const [y, x, at] of [[0, 0, 0], [95, 95, 0], [95, 96, 3], [96, 95, 6], [191, 191, 9]]) {
      expect(Array.from(tiny.data.subarray((y * 192 + x) * 3, (y * 192 + x) * 3 + 3))).toEqual(
        pixels.slice(at, at + 3),
      );
    }
    const middling = new Image(array([300, 200], 7), { name: "middling", source: "here" });
    expect(await shown(middling).then(({ data, shape }) => [shape, data[0]])).toEqual([[300, 200, 3], 7]);
    const large = new Image(array([1000, 2000], 300), { name: "large", source: "here" });
    expect(await shown(large).then(({ data, shape }) => [shape, data[0]])).toEqual([[320, 640, 3], 255]);
    expect(large.figure().caption).toContain("shown at 640 × 320");
  });

  it("prints as one line of text", async () => {
    expect(Deno.inspect(await loadImage(`${folder}/tiny.png`))).toBe(
      `Image "tiny.png", 2 × 2 pixels, from ${folder}/tiny.png`,
    );
  });

  function array([height, width]: [number, number], fill: number) {
    return { data: new Float32Array(height * width * 3).fill(fill), shape: [height, width, 3] };
  }
});

describe("crop", () => {
  const image = new Image({ data: Float32Array.from({ length: 4 * 5 * 3 }, (_, i) => i), shape: [4, 5, 3] }, {
    name: "ramp",
    source: "a formula",
  });

  it("cuts rows y0 to y1 and columns x0 to x1, the last of both left out", () => {
    const part = image.crop([1, 2, 3, 4]);
    expect(part.shape).toEqual([2, 2, 3]);
    // Row 1, columns 2 and 3; row 2, the same.
    expect(Array.from(part.data)).toEqual([21, 22, 23, 24, 25, 26, 36, 37, 38, 39, 40, 41]);
    expect([part.name, part.source]).toEqual(["ramp", "a formula, rows 1 to 2, columns 2 to 3"]);
    expect(image.crop([0, 0, 4, 5]).data).toEqual(image.data);
    part.data[0] = 255;
    expect(image.data[21]).toBe(21);
  });

  it("cuts grey images, too", () => {
    const grey = new Image({ data: Float32Array.of(1, 2, 3, 4), shape: [2, 2, 1] }, { name: "g", source: "s" });
    const part = grey.crop([0, 1, 2, 2]);
    expect([part.shape, Array.from(part.data)]).toEqual([[2, 1, 1], [2, 4]]);
    expect(part.rgb()).toEqual({ data: Float32Array.of(2, 2, 2, 4, 4, 4), shape: [2, 1, 3] });
  });

  it("names a box that is none, is not in the image, or holds nothing", () => {
    for (const [box, found] of [[[1, 2, 3], "3 numbers"], ["all", '"all"'], [undefined, "undefined"]] as const) {
      expect(() => image.crop(box as never)).toThrow(
        new TypeError(
          `crop wants a box [y0, x0, y1, x1] in pixels: received ${found}.`,
        ),
      );
    }
    for (const box of [[0, 0, 5, 5], [0, 0, 4, 6], [-1, 0, 4, 5], [0, 0.5, 4, 5], [0, 0, NaN, 5]] as const) {
      expect(() => image.crop(box)).toThrow(
        `"ramp" of 4 rows and 5 columns: received [${box.join(", ")}]; wanted whole numbers, rows from 0 to 4 and ` +
          "columns from 0 to 5",
      );
    }
    for (const box of [[2, 0, 2, 5], [0, 3, 4, 1]] as const) {
      expect(() => image.crop(box)).toThrow(/wanted y0 below y1 and x0 below x1/);
    }
  });
});
