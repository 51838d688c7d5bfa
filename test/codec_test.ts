import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { encodeForPage, encodePng, ImageError, renderSvg } from "../lib/codec.ts";
import { jpegHeader } from "../lib/image_file.ts";
import { decode } from "./decode.ts";
import {
  chunk,
  concat,
  GREY,
  GREY_ALPHA,
  header,
  PALETTE,
  png,
  RGB,
  RGB_ALPHA,
  SIGNATURE,
  withOrientation,
} from "./data/png.ts";

const name = "it.png";
const values = async (bytes: Uint8Array) => Array.from((await decode(bytes, { name })).data);
const refusal = async (bytes: Uint8Array, as = name): Promise<string> => {
  const error = await decode(bytes, { name: as }).then(() => undefined, (error) => error);
  expect(error).toBeInstanceOf(ImageError);
  expect(error.name).toBe("ImageError");
  expect(error.message).toContain(JSON.stringify(as));
  return error.message;
};

/** A photo-like picture: smooth waves and some grain, so that compressed data fills the file. */
function waves(width: number, height: number): Uint8Array {
  return Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => 128 + 90 * Math.sin(i / 37) + 37 * Math.sin(i * 12.9898),
  );
}
const raw = (width: number, height: number, channels: 1 | 2 | 3 | 4 = 3) => ({ raw: { width, height, channels } });

describe("decode", () => {
  it("gives the pixels of a hand-made RGB PNG, row by row", async () => {
    const image = await decode(
      png({ width: 2, color: RGB, rows: [[1, 2, 3, 250, 251, 252], [9, 8, 7, 0, 255, 128]] }),
      {
        name,
      },
    );
    expect(image.shape).toEqual([2, 2, 3]);
    expect(image.data).toBeInstanceOf(Float32Array);
    expect(Array.from(image.data)).toEqual([1, 2, 3, 250, 251, 252, 9, 8, 7, 0, 255, 128]);
  });

  it("makes three equal channels of grey", async () => {
    expect(await values(png({ width: 2, color: GREY, rows: [[0, 77]] }))).toEqual([0, 0, 0, 77, 77, 77]);
    expect(await values(png({ width: 4, depth: 1, color: GREY, rows: [[0b01010000]] })))
      .toEqual([0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255]);
  });

  it("looks palette colours up", async () => {
    const extra = [chunk("PLTE", Uint8Array.of(10, 20, 30, 200, 100, 0))];
    expect(await values(png({ width: 2, color: PALETTE, rows: [[1, 0]], extra }))).toEqual([200, 100, 0, 10, 20, 30]);
  });

  it("lays transparent parts on white", async () => {
    const [r, g, b, ...rest] = await values(
      png({ width: 3, color: RGB_ALPHA, rows: [[200, 0, 100, 128, 9, 9, 9, 0, 5, 6, 7, 255]] }),
    );
    // value · alpha + 255 · (1 − alpha), alpha = 128 / 255
    expect(Math.abs(r - 227.4)).toBeLessThanOrEqual(1);
    expect(Math.abs(g - 127)).toBeLessThanOrEqual(1);
    expect(Math.abs(b - 177.2)).toBeLessThanOrEqual(1);
    expect(rest).toEqual([255, 255, 255, 5, 6, 7]);
    expect(await values(png({ width: 2, color: GREY_ALPHA, rows: [[0, 0, 40, 255]] })))
      .toEqual([255, 255, 255, 40, 40, 40]);
    const clear = [0, 0, 0, 0, 0, 0, 0, 0];
    expect(await values(png({ width: 1, depth: 16, color: RGB_ALPHA, rows: [clear] }))).toEqual([255, 255, 255]);
  });

  it("brings 16 bits down to 8", async () => {
    const wide = (...v: number[]) => v.flatMap((each) => [each >> 8, each & 255]);
    expect(await values(png({ width: 2, depth: 16, color: RGB, rows: [wide(0, 257, 65535, 32896, 51400, 65534)] })))
      .toEqual([0, 1, 255, 128, 200, 255]);
    expect(await values(png({ width: 2, depth: 16, color: GREY, rows: [wide(65535, 25700)] })))
      .toEqual([255, 255, 255, 100, 100, 100]);
  });

  it("decodes JPEG and WebP close to the pixels that went in", async () => {
    const pixels = new Uint8Array(32 * 24 * 3).map((_, i) => 60 + 4 * Math.floor((i / 3) % 32) + 20 * (i % 3));
    const source = sharp(pixels, raw(32, 24));
    const jpeg = await source.clone().jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
    const webp = await source.clone().webp({ lossless: true }).toBuffer();
    const fromJpeg = await decode(jpeg, { name });
    expect(fromJpeg.shape).toEqual([24, 32, 3]);
    expect(Math.max(...fromJpeg.data.map((value, i) => Math.abs(value - pixels[i])))).toBeLessThanOrEqual(2);
    expect(await values(webp)).toEqual(Array.from(pixels));
  });

  it("turns the image as its EXIF orientation says, all eight ways", async () => {
    // Two rows of three blocks, each 8 pixels wide, of colours that tell them apart.
    const [rows, columns] = [2, 3];
    const block = (y: number, x: number) => [y * 200 + 25, x * 100 + 25, 120];
    const pixels = Uint8Array.from({ length: rows * columns * 64 * 3 }, (_, i) => {
      const at = Math.floor(i / 3);
      return block(Math.floor(at / (columns * 8) / 8), Math.floor((at % (columns * 8)) / 8))[i % 3];
    });
    const jpeg = await sharp(pixels, raw(24, 16)).jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
    // Which stored block is seen at row y, column x.
    const seen: ((y: number, x: number) => [number, number])[] = [
      (y, x) => [y, x],
      (y, x) => [y, columns - 1 - x],
      (y, x) => [rows - 1 - y, columns - 1 - x],
      (y, x) => [rows - 1 - y, x],
      (y, x) => [x, y],
      (y, x) => [rows - 1 - x, y],
      (y, x) => [rows - 1 - x, columns - 1 - y],
      (y, x) => [x, columns - 1 - y],
    ];
    for (const [i, from] of seen.entries()) {
      const { data, shape } = await decode(withOrientation(jpeg, i + 1), { name });
      const [h, w] = i < 4 ? [rows, columns] : [columns, rows];
      expect(shape).toEqual([h * 8, w * 8, 3]);
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) {
          const at = ((y * 8 + 4) * w * 8 + x * 8 + 4) * 3;
          block(...from(y, x)).forEach((value, c) => expect(Math.abs(data[at + c] - value)).toBeLessThanOrEqual(3));
        }
      }
    }
  });

  it("converts an embedded colour profile to sRGB", async () => {
    const pixels = Uint8Array.of(200, 60, 50, 40, 160, 90);
    const p3 = await sharp(pixels, raw(2, 1)).withIccProfile("p3").png().toBuffer();
    const stored = await sharp(p3, { ignoreIcc: true }).raw().toBuffer();
    expect(Math.abs(stored[0] - 200)).toBeGreaterThan(5);
    (await values(p3)).forEach((value, i) => expect(Math.abs(value - pixels[i])).toBeLessThanOrEqual(2));
  });

  it("refuses what is no JPEG, PNG or WebP, and says what it is", async () => {
    const text = new TextEncoder();
    expect(await refusal(text.encode("Dear reader, this is no photo."), "holiday.jpg"))
      .toMatch(/found text that starts with "Dear reader, this is no ".*wanted JPEG, PNG or WebP/);
    expect(await refusal(text.encode("<!DOCTYPE html><title>404</title>"))).toContain("an HTML page");
    expect(await refusal(text.encode('<svg xmlns="http://www.w3.org/2000/svg"/>'))).toContain("an SVG drawing");
    expect(await refusal(text.encode("GIF89a..."))).toContain("a GIF image");
    expect(await refusal(new Uint8Array())).toContain("an empty file");
    expect(await refusal(Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0, 9))).toContain("starts with the bytes 01 02 03 04");
  });

  it("shows HTML in a name as text: quoted, nothing of it taken away", async () => {
    expect(await refusal(new Uint8Array(), "<img src=x onerror=alert(1)>.jpg")).toContain(
      '"<img src=x onerror=alert(1)>.jpg" is not an image',
    );
  });

  it("refuses a file that is cut off or damaged", async () => {
    const source = sharp(waves(200, 150), raw(200, 150));
    for (const encode of ["jpeg", "png", "webp"] as const) {
      const bytes = await source.clone()[encode]().toBuffer();
      expect((await decode(bytes, { name })).shape).toEqual([150, 200, 3]);
      for (const part of [0.05, 0.5, 0.9]) {
        expect(await refusal(bytes.subarray(0, Math.floor(bytes.length * part)))).toMatch(
          /cannot be decoded.*damaged or cut off.*again/,
        );
      }
    }
    const flipped = Uint8Array.from(await source.clone().png().toBuffer());
    flipped[Math.floor(flipped.length / 2)] ^= 255;
    expect(await refusal(flipped)).toContain("damaged");
  });

  it("refuses a decompression bomb by its header, before it unpacks a pixel", async () => {
    const lines = new Uint8Array(30_000 * (30_000 / 8 + 1));
    const bomb = concat(
      SIGNATURE,
      header(30_000, 30_000, 1, GREY),
      chunk("IDAT", deflateSync(lines, { level: 9 })),
      chunk("IEND", new Uint8Array()),
    );
    expect(bomb.length).toBeLessThan(200_000);
    const wanted = /30000 × 30000 pixels, 900 megapixels: more than the limit of 100 megapixels/;
    expect(await refusal(bomb)).toMatch(wanted);
    // The same with no pixels at all: were they looked at, the file would be called damaged.
    const headOnly = concat(
      SIGNATURE,
      header(30_000, 30_000, 8, RGB),
      chunk("IDAT", new Uint8Array(8)),
      chunk("IEND", new Uint8Array()),
    );
    expect(await refusal(headOnly)).toMatch(wanted);
  });

  it("refuses animated images", async () => {
    const frames = [0, 200].map((grey) => sharp(new Uint8Array(300).fill(grey), raw(10, 10)).png().toBuffer());
    const webp = await sharp(await Promise.all(frames), { join: { animated: true } }).webp({ lossless: true })
      .toBuffer();
    expect(await refusal(webp)).toMatch(/animated WebP.*wanted a still one\. Save one frame/);
    const control = concat(Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 0));
    const apng = png({ width: 1, color: GREY, rows: [[5]], extra: [chunk("acTL", control)] });
    expect(await refusal(apng)).toMatch(/animated PNG/);
  });

  it("finds in a JPEG's header what sharp finds", async () => {
    const source = sharp(waves(35, 21), raw(35, 21));
    const files = await Promise.all([
      source.clone().jpeg().toBuffer(),
      source.clone().jpeg({ progressive: true, chromaSubsampling: "4:4:4" }).toBuffer(),
      source.clone().withExif({ IFD0: { Copyright: "nobody" } }).withIccProfile("p3").jpeg().toBuffer(),
      source.clone().greyscale().jpeg().toBuffer(),
      source.clone().toColourspace("cmyk").jpeg().toBuffer(),
    ]);
    for (const file of files) {
      const { width, height, space, depth } = await sharp(file).metadata();
      expect(jpegHeader(file)).toEqual({ width, height, space, depth });
    }
    // Cut off, or with a segment that leads nowhere: sharp is asked, and says what is wrong.
    expect(jpegHeader(files[0].subarray(0, 40))).toBeUndefined();
    const lost = Uint8Array.from(files[0]);
    lost[5] ^= 8;
    expect(jpegHeader(lost)).toBeUndefined();
  });

  it("refuses CMYK", async () => {
    const cmyk = await sharp(waves(16, 16), raw(16, 16)).toColourspace("cmyk").jpeg().toBuffer();
    expect(await refusal(cmyk)).toMatch(/CMYK.*Convert it to RGB/);
  });
});

describe("encodePng", () => {
  it("comes back as it went in, with 1, 3 and 4 channels", async () => {
    const rgb = waves(7, 5);
    expect(await values(await encodePng(rgb, 7, 5, 3))).toEqual(Array.from(rgb));
    expect(await values(await encodePng(Uint8ClampedArray.of(3, 200), 2, 1, 1))).toEqual([3, 3, 3, 200, 200, 200]);
    const rgba = Uint8Array.of(1, 2, 3, 255, 40, 50, 60, 70);
    const file = await encodePng(rgba, 2, 1, 4, { level: 9 });
    expect(Array.from(await sharp(file).raw().toBuffer())).toEqual(Array.from(rgba));
  });

  it("writes a file of as many channels as it was given", async () => {
    for (const [channels, color] of [[1, GREY], [3, RGB], [4, RGB_ALPHA]] as const) {
      const file = await encodePng(new Uint8Array(4 * channels).fill(9), 2, 2, channels);
      expect(file[24]).toBe(8);
      expect(file[25]).toBe(color);
    }
  });

  it("refuses pixels that do not fill the size", async () => {
    await expect(encodePng(new Uint8Array(11), 2, 2, 3)).rejects.toThrow(/takes 12 bytes.*received 11/);
    await expect(encodePng(new Uint8Array(0), 0, 0, 3)).rejects.toThrow(RangeError);
  });
});

describe("pictures for a page", () => {
  const pixelsOf = async (file: Uint8Array) => Array.from(await sharp(file).raw().toBuffer());
  const kindOf = (file: Uint8Array) => file[0] === 0x89 ? "PNG" : new TextDecoder().decode(file.subarray(8, 12));
  /** Noise without order in so many shades of orange on the left, and of blue on the right. */
  const signedMap = (side: number, shades: number) => {
    const pixels = new Uint8Array(side * side * 3);
    let state = 1;
    for (let i = 0; i < side * side; i++) {
      state = Math.imul(state, 1664525) + 1013904223 >>> 0;
      const shade = Math.floor((state >>> 16) % shades * (256 / shades));
      pixels.set(i % side < side / 2 ? [shade, shade >> 1, 0] : [0, shade >> 1, shade], i * 3);
    }
    return pixels;
  };

  it("with a palette keep each pixel, and how much is seen of it", async () => {
    for (const shades of [1, 2, 128]) {
      const rgb = signedMap(40, shades);
      const file = await encodePng(rgb, 40, 40, 3, { palette: true });
      expect(file[25]).toBe(3);
      expect(await pixelsOf(file)).toEqual(Array.from(rgb));
    }
    const rgba = Uint8Array.from({ length: 64 * 4 }, (_, i) => [200, 10, 0, i % 12 * 20][i % 4]);
    expect(await pixelsOf(await encodePng(rgba, 16, 4, 4, { palette: true }))).toEqual(Array.from(rgba));
  });

  it("with more colours than a palette holds keep each pixel, too", async () => {
    const rgb = waves(20, 20);
    expect(await pixelsOf(await encodePng(rgb, 20, 20, 3, { palette: true }))).toEqual(Array.from(rgb));
  });

  it("are WebP of photos, near to them and much smaller", async () => {
    const rgb = Uint8Array.from({ length: 120 * 90 * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % 120, Math.floor(i / 360)];
      return 128 + 60 * Math.sin(x / (5 + i % 3)) + 50 * Math.cos(y / 7 + x / 30);
    });
    const file = await encodeForPage(rgb, 120, 90, 3);
    expect(kindOf(file)).toBe("WEBP");
    expect(file.length).toBeLessThan((await encodePng(rgb, 120, 90, 3, { level: 9 })).length / 2);
    const shown = await pixelsOf(file);
    expect(rgb.reduce((sum, value, i) => sum + Math.abs(value - shown[i]), 0) / rgb.length).toBeLessThan(3);
  });

  it("are exact of maps, and of large maps have fewer shades of the same colours", async () => {
    const small = signedMap(100, 128);
    const exact = await encodeForPage(small, 100, 100, 3);
    expect([kindOf(exact), await pixelsOf(exact)]).toEqual(["PNG", Array.from(small)]);
    const large = signedMap(400, 128);
    const file = await encodeForPage(large, 400, 400, 3);
    expect(kindOf(file)).toBe("PNG");
    expect(file.length).toBeLessThan(0.9 * (await encodePng(large, 400, 400, 3, { palette: true, level: 6 })).length);
    const shown = await pixelsOf(file);
    // Beside an edge between signs, neither has taken on anything of the other.
    for (let i = 0; i < large.length; i++) expect(Math.abs(shown[i] - large[i])).toBeLessThan(16);
  });
});

describe("renderSvg", () => {
  const svg = (width: number) =>
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="10" viewBox="0 0 20 10">` +
    `<rect width="20" height="10" fill="#fff"/><rect width="10" height="10" fill="#f00"/></svg>`;

  it("draws in the drawing's own size, or in the width asked for, sharply", async () => {
    const own = await decode(await renderSvg(svg(20)), { name });
    expect(own.shape).toEqual([10, 20, 3]);
    const wide = await decode(await renderSvg(svg(20), { width: 200 }), { name });
    expect(wide.shape).toEqual([100, 200, 3]);
    const pixel = (x: number) => Array.from(wide.data.subarray((50 * 200 + x) * 3, (50 * 200 + x) * 3 + 3));
    expect(pixel(98)).toEqual([255, 0, 0]);
    expect(pixel(101)).toEqual([255, 255, 255]);
  });

  it("refuses what is no SVG", async () => {
    await expect(renderSvg("no drawing")).rejects.toThrow();
  });
});
