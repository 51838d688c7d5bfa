import { afterEach, describe, expect, test } from "vitest";
import scripts from "../../lib/page/bundle.json" with { type: "json" };
import { bytesOf, floatsOf, halfAt, significant } from "../../lib/page/numbers.ts";

describe("bytesOf", () => {
  const { fromBase64 } = Uint8Array;
  afterEach(() => {
    Uint8Array.fromBase64 = fromBase64;
  });

  test.each([true, false])("reads base64, where the browser can itself: %s", (can) => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const text = bytes.toBase64();
    if (!can) Reflect.deleteProperty(Uint8Array, "fromBase64");
    expect(bytesOf(text)).toEqual(bytes);
    expect(bytesOf("")).toEqual(new Uint8Array());
  });

  test("floatsOf reads floats", () => {
    const floats = Float32Array.of(0, -1.5, NaN, Infinity, 1e-30);
    expect(floatsOf(new Uint8Array(floats.buffer).toBase64())).toEqual(floats);
  });
});

test("halfAt reads every half float as DataView does", () => {
  const bytes = new Uint8Array(2 * 65536);
  const view = new DataView(bytes.buffer);
  for (let bits = 0; bits < 65536; bits++) view.setUint16(2 * bits, bits, true);
  for (let bits = 0; bits < 65536; bits++) {
    if (!Object.is(halfAt(bytes, bits), view.getFloat16(2 * bits, true))) {
      expect(`${bits}: ${halfAt(bytes, bits)}`).toBe(`${bits}: ${view.getFloat16(2 * bits, true)}`);
    }
  }
});

test.each([
  [0.5, 3, "0.500"],
  [-0.0123456, 3, "−0.0123"],
  [-4.2e-5, 3, "−4.20e−5"],
  [12345, 3, "12300"],
  [123456, 3, "1.23e+5"],
  [0.9996, 3, "1.00"],
  [0, 3, "0"],
  [NaN, 3, "none"],
  [null, 3, "none"],
  [Infinity, 3, "Infinity"],
])("significant(%f, %i) is %s", (value, digits, words) => {
  expect(significant(value, digits)).toBe(words);
});

test("the scripts of a page hold no word for a bad number", () => {
  for (const script of Object.values(scripts)) expect(script).not.toMatch(/NaN|undefined/);
});
