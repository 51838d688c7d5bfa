/**
 * The preprocessings that a network may have been trained with, and inputs made anew for each of them.
 *
 * @module
 */

import { ModelView } from "./view.ts";
import { describePreprocess, type Preprocess, preprocessing, type PreprocessMode } from "./preprocess.ts";

/** A preprocessing that is tried. */
export interface Candidate {
  /** As the option `preprocess` takes it, or in words. */
  readonly name: string;
  /** What it does, in words. */
  readonly words: string;
  readonly how: Preprocess;
}

const wordsOf = (how: Preprocess, channels = 3) => describePreprocess(how, [null, null, channels]).split(";")[0];

const MODES: readonly PreprocessMode[] = ["caffe", "torch", "tf", "unit", "none"];

/** The same preprocessing on colours in the other order. */
function swapped(how: Preprocess): Preprocess {
  const back = (values: readonly number[]) => [...values].reverse();
  const order = how.order === "rgb" ? "bgr" : "rgb";
  return { ...how, mode: "custom", order, mean: back(how.mean), deviation: back(how.deviation) };
}

/** What is made of pixels of 0…255 where channels are no colours: the two numbers that a mean and a deviation are. */
const PLAIN: readonly [name: string, words: string, mean: number, deviation: number][] = [
  ["unit", "from 0 to 1", 0, 255],
  ["tf", "from −1 to 1", 127.5, 127.5],
  ["none", "as they are", 0, 1],
  ["half", "from −0.5 to 0.5", 127.5, 255],
];
/** Of grey pictures: dark for bright. */
const INVERTED: typeof PLAIN = [
  ["unit, inverted", "from 0 to 1, white is 0", 255, -255],
  ["tf, inverted", "from −1 to 1, white is −1", 127.5, -127.5],
];
/** Of channels that no screen shows. */
const SENSORS: typeof PLAIN = [
  ["over 10,000", "over 10,000, as reflectances are stored", 0, 10_000],
  ["over 65,535", "over 65,535, as of 16 bits", 0, 65_535],
];

/** Whether means or deviations are the same for each channel. */
export const alike = (a: readonly number[], b: readonly number[]): boolean => {
  const length = Math.max(a.length, b.length);
  const of = (values: readonly number[], i: number) => values.length === length ? values[i] : values[0];
  return Array.from({ length }, (_, i) => Math.abs(of(a, i) - of(b, i)) < 1e-3).every(Boolean);
};
const same = (a: Preprocess, b: Preprocess) =>
  a.order === b.order && alike(a.mean, b.mean) && alike(a.deviation, b.deviation);

/**
 * The preprocessings that are tried: first the one in use.
 *
 * @param channels of the network's input
 */
export function candidatesFor({ preprocess: own }: { readonly preprocess: Preprocess }, channels: number): Candidate[] {
  const { fit } = own;
  const flat = ([name, words, mean, deviation]: typeof PLAIN[number]): Candidate => {
    const of = (value: number) => [value];
    const how = { mode: "custom" as const, order: "rgb" as const, mean: of(mean), deviation: of(deviation), fit };
    return { name, words, how: name === "unit" || name === "tf" || name === "none" ? { ...how, mode: name } : how };
  };
  const colours = (): Candidate[] => {
    const modes = MODES.map((mode) => {
      const how = { ...preprocessing(mode), fit };
      return { name: mode, words: wordsOf(how), how };
    });
    const half = flat(PLAIN[3]);
    const others = modes.map(({ name, how, words }) => {
      const other = swapped(how);
      const order = other.order.toUpperCase();
      return { name: `${name}, ${order}`, words: words.replace(/^(RGB|BGR)/, order), how: other };
    });
    return [...modes, { ...half, words: `RGB ${half.words}` }, ...others];
  };
  const all = channels === 3 ? colours() : [...PLAIN, ...channels === 1 ? INVERTED : SENSORS].map(flat);
  const known = all.find(({ how }) => same(how, own));
  const current = known ??
    { name: own.mode === "custom" ? "custom" : own.mode, words: wordsOf(own, channels), how: own };
  return [{ ...current, how: own }, ...all.filter((one) => one !== known)];
}

/**
 * A network's input as another preprocessing would have made it of the same pixels.
 *
 * @param input `[…, channels]`, made by `from`
 */
export function prepared(input: ModelView, from: Preprocess, to: Preprocess): ModelView {
  if (from === to) return input;
  const channels = input.shape.at(-1)!;
  const part = (values: readonly number[], channel: number) => values[values.length === channels ? channel : 0];
  const turns = channels === 3 && from.order !== to.order;
  const made = new Float32Array(input.data.length);
  for (let channel = 0; channel < channels; channel++) {
    const source = turns ? channels - 1 - channel : channel;
    const factor = part(from.deviation, source) / part(to.deviation, channel);
    const offset = (part(from.mean, source) - part(to.mean, channel)) / part(to.deviation, channel);
    for (let i = 0; i < made.length; i += channels) made[i + channel] = input.data[i + source] * factor + offset;
  }
  return new ModelView({ data: made, shape: input.shape }, input.others);
}
