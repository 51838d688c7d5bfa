import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { preprocess, preprocessing, type PreprocessMode } from "../../lib/model/preprocess.ts";
import { inChannels } from "../../lib/model/view.ts";

const pixel = ndarray([255, 127.5, 0], [1, 1, 3]);

describe("modes give what Keras's preprocess_input gives", () => {
  // keras.applications.imagenet_utils.preprocess_input of the pixel (255, 127.5, 0)
  const cases: [PreprocessMode, number[]][] = [
    ["caffe", [0 - 103.939, 127.5 - 116.779, 255 - 123.68]],
    ["tf", [1, 0, -1]],
    ["torch", [(1 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, -0.406 / 0.225]],
    ["unit", [1, 0.5, 0]],
    ["none", [255, 127.5, 0]],
  ];
  test.each(cases)("%s", (mode, wanted) => {
    const found = preprocess(pixel, preprocessing(mode));
    wanted.forEach((value, i) => expect(found[i]).toBeCloseTo(value, 4));
  });
});

test("one channel is the luminance of BT.601", () => {
  const [grey] = preprocess(inChannels(pixel, 1), preprocessing("unit"));
  expect(grey).toBeCloseTo(0.299 + 0.587 / 2, 6);
});

test("a custom one fills in what is not said", () => {
  const how = preprocessing({ mean: [10, 20, 30], order: "bgr" });
  expect(how).toEqual({ mode: "custom", order: "bgr", mean: [10, 20, 30], deviation: [1, 1, 1], fit: "crop" });
  expect(Array.from(preprocess(pixel, how))).toEqual([-10, 107.5, 225]);
});

test("what differs from a mode starts from that mode", () => {
  const { mode: _, ...torch } = preprocessing("torch");
  expect(preprocessing({ mode: "torch", fit: "squash" })).toEqual({ ...torch, mode: "custom", fit: "squash" });
  // What a model was loaded with loads another alike.
  const custom = preprocessing({ mean: [10, 20, 30] });
  expect(preprocessing(custom)).toEqual(custom);
});

test.each([
  ["cafe", RangeError, "There is no preprocessing"],
  [{ mode: "cafe" }, RangeError, "There is no preprocessing"],
  [{ order: "grb" }, RangeError, 'order must be "rgb" or "bgr": received "grb"'],
  [{ fit: "stretch" }, RangeError, 'fit must be "crop" or "squash": received "stretch"'],
  [
    { mean: "grey" },
    RangeError,
    'mean must be a number for each channel, as [r, g, b], or one for all: received "grey"',
  ],
  [{ deviation: [1, 0, 1] }, RangeError, "none of them 0: received [1, 0, 1]"],
  [{ means: [1, 2, 3] }, TypeError, 'preprocess has no option "means". The nearest: "mean"'],
])("refuses %j", (wanted, type, message) => {
  expect(() => preprocessing(wanted as never)).toThrow(type);
  expect(() => preprocessing(wanted as never)).toThrow(message);
});
