/** Files of images with a few wrong bytes: a named error, the same pixels, or pixels that nothing could vouch for. */

import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { ImageError } from "../../lib/codec.ts";
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";
import { chunk, concat, GREY, header, png, RGB, SIGNATURE } from "./png.ts";
import { decode } from "../decode.ts";

/** How many files are damaged of each format. */
const EACH = long(200, 6);
const WIDTH = 48;
const HEIGHT = 32;

/** A picture with edges and slopes. */
const picture = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => {
  const [x, y, c] = [Math.floor(i / 3) % WIDTH, Math.floor(i / 3 / WIDTH), i % 3];
  return ((x - 20) ** 2 + (y - 15) ** 2 < 90 ? 200 : 3 * x) + 20 * c + (x * y) % 7;
});
const source = sharp(picture, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });

/** Each way to write the picture, and whether the format has checksums. */
const formats: Record<string, { make: () => Promise<Uint8Array>; checked: boolean }> = {
  "JPEG": { make: () => source.clone().jpeg().toBuffer(), checked: false },
  "JPEG, progressive": { make: () => source.clone().jpeg({ progressive: true }).toBuffer(), checked: false },
  "PNG": { make: () => source.clone().png().toBuffer(), checked: true },
  "PNG, palette": { make: () => source.clone().png({ palette: true }).toBuffer(), checked: true },
  "PNG, profile": { make: () => source.clone().withIccProfile("p3").png().toBuffer(), checked: true },
  "WebP": { make: () => source.clone().webp().toBuffer(), checked: false },
  "WebP, lossless": { make: () => source.clone().webp({ lossless: true }).toBuffer(), checked: false },
  "GIF": { make: () => source.clone().gif().toBuffer(), checked: false },
  "TIFF": { make: () => source.clone().tiff({ compression: "lzw" }).toBuffer(), checked: false },
  "AVIF": { make: () => source.clone().avif({ effort: 0 }).toBuffer(), checked: false },
};

/** A copy with some bytes changed, cut off, emptied, left out or doubled. */
function damaged(bytes: Uint8Array, way: number, random: () => number): Uint8Array {
  const at = Math.floor(random() * bytes.length);
  const some = 1 + Math.floor(random() * 20);
  const copy = Uint8Array.from(bytes);
  switch (way % 5) {
    case 0:
      copy[at] ^= 1 << Math.floor(random() * 8);
      return copy;
    case 1:
      return copy.subarray(0, at);
    case 2:
      return copy.fill(0, at, at + some);
    case 3:
      return concat(copy.subarray(0, at), copy.subarray(at + some));
    default:
      return concat(copy.subarray(0, at), copy.subarray(at, at + some), copy.subarray(at));
  }
}

const equal = (a: Float32Array, b: Float32Array) => a.length === b.length && a.every((value, i) => value === b[i]);

describe(`${EACH} damaged files each`, () => {
  test.each(Object.entries(formats))("%s", async (name, { make, checked }) => {
    const bytes = await make();
    const whole = await decode(bytes, { name });
    expect(whole.shape).toEqual([HEIGHT, WIDTH, 3]);
    const random = uniforms(17);
    const counts = { refused: 0, equal: 0, changed: 0 };
    for (let i = 0; i < EACH; i++) {
      const found = await decode(damaged(bytes, i, random), { name }).catch((error: unknown) => error);
      if (found instanceof Error) {
        expect(found).toBeInstanceOf(ImageError);
        expect(found.message).toContain(JSON.stringify(name));
        counts.refused++;
      } else counts[equal((found as typeof whole).data, whole.data) ? "equal" : "changed"]++;
    }
    console.log(
      `${name}: ${counts.refused} refused, ${counts.equal} equal, ${counts.changed} decodes with changed pixels`,
    );
    if (checked) expect(counts.changed).toBe(0);
    // What is cut off is refused in every format, and so is most of what is left out.
    expect(counts.refused).toBeGreaterThanOrEqual(Math.floor(EACH / 5));
  });
});

describe("what can be checked is", () => {
  const name = "it";
  const refusal = async (bytes: Uint8Array) => {
    const error = await decode(bytes, { name }).then(() => undefined, (error) => error);
    expect(error).toBeInstanceOf(ImageError);
    return error.message as string;
  };

  test("a JPEG that the decoder only warns of is refused", async () => {
    const jpeg = await source.clone().jpeg().toBuffer();
    const without = concat(jpeg.subarray(0, jpeg.length - 120), jpeg.subarray(jpeg.length - 2));
    expect(await sharp(without, { failOn: "none" }).raw().toBuffer()).toHaveLength(WIDTH * HEIGHT * 3);
    expect(await refusal(without)).toMatch(/"it" cannot be decoded: .* JPEG .*damaged or cut off/);
  });

  test("each chunk of a PNG that says something of its pixels, by its checksum", async () => {
    const flip = (bytes: Uint8Array, type: string) => {
      const copy = Uint8Array.from(bytes);
      const at = new TextDecoder("latin1").decode(copy).indexOf(type);
      copy[at + 4] ^= 1;
      return copy;
    };
    const rows = [[1, 2, 3, 250, 251, 252]];
    const transparent = png({ width: 2, color: RGB, rows, extra: [chunk("tRNS", Uint8Array.of(0, 1, 0, 2, 0, 3))] });
    const gamma = png({ width: 2, color: RGB, rows, extra: [chunk("gAMA", Uint8Array.of(0, 0, 177, 143))] });
    for (
      const [bytes, type] of [[transparent, "IHDR"], [transparent, "tRNS"], [transparent, "IDAT"], [gamma, "gAMA"]]
    ) {
      expect(await refusal(flip(bytes as Uint8Array, type as string))).toContain(`its chunk "${type}" differs`);
    }
    // Words beside the picture may be wrong, and so may what stands behind its end.
    const words = png({ width: 2, color: RGB, rows, extra: [chunk("tEXt", new TextEncoder().encode("Title\0dog"))] });
    for (const bytes of [flip(words, "tEXt"), concat(words, Uint8Array.of(1, 2, 3))]) {
      expect(Array.from((await decode(bytes, { name })).data)).toEqual(rows[0]);
    }
    const end = concat(SIGNATURE, header(1, 1, 8, GREY), chunk("IDAT", new Uint8Array()));
    expect(await refusal(end)).toContain("cannot be decoded");
  });

  test("a WebP by its length", async () => {
    const webp = await source.clone().webp({ lossless: true }).toBuffer();
    for (const cut of [1, 10, 100]) expect(await refusal(webp.subarray(0, webp.length - cut))).toContain("damaged");
  });
});

describe("further formats", () => {
  const name = "it";

  test.each(["gif", "tiff", "avif", "jpeg"] as const)("%s is read whatever its name", async (format) => {
    const bytes = format === "avif"
      ? await source.clone().avif({ lossless: true }).toBuffer()
      : format === "tiff"
      ? await source.clone().tiff({ compression: "deflate" }).toBuffer()
      : await source.clone()[format]().toBuffer();
    const { data, shape } = await decode(bytes, { name: "it.txt" });
    expect(shape).toEqual([HEIGHT, WIDTH, 3]);
    const off = data.reduce((sum, value, i) => sum + Math.abs(value - picture[i]), 0) / data.length;
    expect(off).toBeLessThan({ gif: 8, tiff: 1e-9, avif: 1e-9, jpeg: 12 }[format]);
  });

  test("16 bits, transparency and grey of a TIFF come as those of a PNG", async () => {
    const grey = sharp(picture.filter((_, i) => i % 3 === 0), { raw: { width: WIDTH, height: HEIGHT, channels: 1 } });
    const clear = source.clone().ensureAlpha(0.5);
    const wide = source.clone().toColourspace("rgb16");
    for (const each of [grey, clear, wide]) {
      const [tiff, whole] = await Promise.all([each.clone().tiff().toBuffer(), each.clone().png().toBuffer()]);
      const lossless = await each.clone().tiff({ compression: "lzw" }).toBuffer();
      expect(tiff.length).toBeGreaterThan(0);
      expect((await decode(lossless, { name })).data).toEqual((await decode(whole, { name })).data);
    }
  });

  test("several pictures in one file are refused, and so are numbers that nothing explains", async () => {
    const frames = [0, 200].map((grey) =>
      sharp(new Uint8Array(300).fill(grey), { raw: { width: 10, height: 10, channels: 3 } }).png().toBuffer()
    );
    const both = sharp(await Promise.all(frames), { join: { animated: true } });
    await expect(decode(await both.clone().gif().toBuffer(), { name })).rejects.toThrow(/animated GIF.*still one/);
    await expect(decode(await both.clone().tiff().toBuffer(), { name })).rejects.toThrow(/a TIFF file of 2 pictures/);
    const floats = await source.clone().toColourspace("scrgb").raw({ depth: "float" }).toBuffer();
    const tiff = await sharp(new Float32Array(floats.buffer, floats.byteOffset, floats.length / 4), {
      raw: { width: WIDTH, height: HEIGHT, channels: 3 },
    }).tiff({ compression: "none" }).toBuffer();
    const { depth } = await sharp(tiff).metadata();
    if (depth === "float") await expect(decode(tiff, { name })).rejects.toThrow(/numbers of the kind float/);
    else expect(depth).toBe("uchar");
  });

  test("BMP, HEIC, SVG and others are named, and what is wanted", async () => {
    const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const wanted = /found .*; wanted JPEG, PNG or WebP, or a GIF, TIFF or AVIF of one picture\.$/;
    for (
      const [bytes, kind] of [
        [ascii("BM:\0\0\0"), "a BMP image (convert it to PNG)"],
        [ascii("\0\0\0\x18ftypheic\0\0\0\0mif1heic"), 'an ISO media file (brand "heic")'],
        [ascii("\0\0\0\x18ftypisom\0\0\0\0mp41mp42"), 'an ISO media file (brand "isom")'],
        [ascii("%PDF-1.7"), "a PDF document"],
      ] as const
    ) {
      const error = await decode(bytes, { name }).catch((error) => error);
      expect(error.message).toMatch(wanted);
      expect(error.message).toContain(kind);
    }
  });
});
