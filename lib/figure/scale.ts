/**
 * The scales of a chart's axes: from numbers to places, and the round numbers at the ticks.
 *
 * d3-scale would gain nothing: its linear ticks are the same, its log ticks have empty labels or SI letters ("100m", "1k"),
 * and d3-format writes 0.000005 where papers write 5·10⁻⁶.
 *
 * @module
 */

import type { Axis } from "./blocks.ts";

/** One axis, laid out. */
export interface Scale {
  /** The numbers at its two ends, the smaller first. */
  readonly domain: readonly [min: number, max: number];
  readonly log: boolean;
  /** Round numbers within the domain, rising. */
  readonly ticks: readonly number[];
  /** From 0 at the lower end to 1 at the upper; outside of these for numbers outside of the domain, NaN where there is no place. */
  at(value: number): number;
  /** A tick in words. */
  format(tick: number): string;
}

/** How the numbers of an axis are found. */
export interface ScaleOptions {
  /** About how many ticks there is room for. */
  ticks: number;
  /** Whether ends that were not given go out to the next tick. */
  round: boolean;
}

/** 1, 2 or 5 times a power of ten: the mantissa and the power, so that multiples of it are exact. */
interface Step {
  mantissa: number;
  power: number;
}

const multiple = ({ mantissa, power }: Step, i: number) =>
  power < 0 ? (i * mantissa) / 10 ** -power : i * mantissa * 10 ** power;

/** The step that is nearest to `width`, as a ratio. */
function niceStep(width: number): Step {
  const power = Math.floor(Math.log10(width));
  const share = width / 10 ** power;
  if (share < Math.SQRT2) return { mantissa: 1, power };
  if (share < Math.sqrt(10)) return { mantissa: 2, power };
  if (share < Math.sqrt(50)) return { mantissa: 5, power };
  return { mantissa: 1, power: power + 1 };
}

/** Below this a number is taken for zero. */
const NOTHING = 1e-290;

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const superscript = (power: number) =>
  (power < 0 ? "⁻" : "") + [...String(Math.abs(power))].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");
const minus = (text: string) => text.replace("-", "−");

/** A number as a power of ten, as `"2·10⁶"`, with at most so many decimals. */
function scientific(value: number, decimals: number): string {
  const [mantissa, exponent] = value.toExponential(decimals).split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  const power = `10${superscript(Number(exponent))}`;
  return minus(short === "1" ? power : short === "-1" ? `-${power}` : `${short}·${power}`);
}

/** A number down to the digit of this power of ten; as a power of ten itself where it is very large or very fine. */
function formatNumber(value: number, power: number): string {
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  if (size >= 6 || power < -5) return scientific(value, Math.max(0, Math.min(15, size - power)));
  const [whole, decimals] = Math.abs(value).toFixed(Math.max(0, -power)).split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
  return (value < 0 ? "−" : "") + grouped + (decimals ? `.${decimals}` : "");
}

function linearScale(axis: Axis, [low, high]: readonly [number, number], { ticks, round }: ScaleOptions): Scale {
  let min = axis.min ?? low;
  let max = axis.max ?? high;
  const size = Math.max(Math.abs(min), Math.abs(max));
  // Numbers that are all the same, as far as their digits go, get some room to both sides; zeros above them only.
  if (!(max - min > Math.max(1e-9 * size, axis.whole ? 1e-6 : NOTHING))) {
    const room = axis.whole ? 0.5 : size > NOTHING ? size * 0.1 : 1;
    if (axis.min === undefined && (axis.whole || size > NOTHING)) min -= room;
    if (axis.max === undefined || max <= min) max = Math.max(min, max) + room;
  }
  let step = niceStep((max - min) / Math.max(1, ticks));
  if (axis.whole && step.power < 0) step = { mantissa: 1, power: 0 };
  const width = multiple(step, 1);
  let first = Math.ceil(min / width - 1e-9);
  let last = Math.floor(max / width + 1e-9);
  if (round && axis.min === undefined) min = multiple(step, first = Math.floor(min / width + 1e-9));
  if (round && axis.max === undefined) max = multiple(step, last = Math.ceil(max / width - 1e-9));
  const places = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => multiple(step, first + i));
  return {
    domain: [min, max],
    log: false,
    ticks: places.filter((tick) => tick >= min && tick <= max),
    at: (value) => (value - min) / (max - min),
    format: (tick) => formatNumber(tick, step.power),
  };
}

/** The largest of 1, 2, 5, 10, 20 … (and 0.5, 0.2 …) that is not above `value`; or the smallest that is not below it. */
function roundOut(value: number, up: boolean): number {
  const power = Math.floor(Math.log10(value) + 1e-12);
  const near = [1, 2, 5, 10].map((mantissa) => multiple({ mantissa, power }, 1));
  return up ? near.find((n) => n >= value * (1 - 1e-9))! : near.findLast((n) => n <= value * (1 + 1e-9))!;
}

function logScale(axis: Axis, [low, high]: readonly [number, number], { ticks, round }: ScaleOptions): Scale {
  for (const end of [axis.min, axis.max]) {
    if (end !== undefined && !(end > 0)) {
      throw new RangeError(`A log axis ends at numbers above 0: received ${end} for "${axis.title}".`);
    }
  }
  let min = axis.min ?? low;
  let max = axis.max ?? high;
  if (!(max > min * (1 + 1e-9))) {
    if (axis.min === undefined) min /= 2;
    if (axis.max === undefined || max <= min) max = Math.max(min, max) * 2;
  }
  if (round && axis.min === undefined) min = roundOut(min, false);
  if (round && axis.max === undefined) max = roundOut(max, true);
  const inside = (value: number) => value >= min * (1 - 1e-9) && value <= max * (1 + 1e-9);
  const firstPower = Math.floor(Math.log10(min) + 1e-9) - 1;
  const powers = Array.from({ length: Math.ceil(Math.log10(max)) - firstPower + 2 }, (_, i) => firstPower + i);
  const decades = powers.filter((power) => inside(10 ** power));
  let places: number[];
  if (decades.length >= 3) {
    const every = Math.ceil(decades.length / Math.max(2, ticks));
    places = decades.filter((_, i) => i % every === 0).map((power) => multiple({ mantissa: 1, power }, 1));
  } else {
    places = powers.flatMap((power) => [1, 2, 5].map((mantissa) => multiple({ mantissa, power }, 1))).filter(inside);
  }
  // Within less than a factor of two or so there may be none of these: then steps as on a linear axis.
  if (places.length < 2) {
    const linear = linearScale({ ...axis, min, max }, [min, max], { ticks, round: false });
    places = [...linear.ticks];
  }
  places = places.filter((tick) => tick >= min && tick <= max);
  const span = Math.log(max / min);
  const powersOfTen = places.some((tick) => tick < 1e-3 * (1 - 1e-9) || tick >= 1e5);
  return {
    domain: [min, max],
    log: true,
    ticks: places,
    at: (value) => value > 0 ? Math.log(value / min) / span : NaN,
    format: (tick) => powersOfTen ? scientific(tick, 5) : formatNumber(tick, decimalsOf(tick)),
  };
}

/** The power of ten of the last digit of a round number. */
function decimalsOf(value: number): number {
  const decimals = String(Number(value.toPrecision(6))).split(".")[1] ?? "";
  return -decimals.length;
}

/**
 * Lays out an axis.
 *
 * @param data the smallest and the largest number that it must hold; of a log axis both above 0
 * @throws {RangeError} if an end was given that is not finite, ends are in the wrong order, or a log axis ends at 0 or
 *   below
 */
export function scaleOf(axis: Axis, data: readonly [number, number], options: ScaleOptions): Scale {
  const { min, max, title } = axis;
  for (const end of [min, max]) {
    if (end !== undefined && !Number.isFinite(end)) {
      throw new RangeError(`An axis ends at finite numbers: received ${end} for "${title}".`);
    }
  }
  if (min !== undefined && max !== undefined && !(min < max)) {
    throw new RangeError(`An axis goes from a smaller to a larger number: received ${min} to ${max} for "${title}".`);
  }
  return axis.scale === "log" ? logScale(axis, data, options) : linearScale(axis, data, options);
}
