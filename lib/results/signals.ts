/**
 * Signals in a figure: lines over their cells, with a map behind them.
 *
 * @module
 */

import { channelOf, type NdArrayLike } from "../array.ts";
import type { Chart, Picture, Series, Shade } from "../figure/blocks.ts";
import { brief } from "../format.ts";
import { mapsPicture, stretched } from "./panels.ts";

/** As wide as strips are, with the room for the axis. */
const SHOWN = { width: 790, height: 220 };
/** More channels are drawn as strips, not as lines. */
export const MOST_LINES = 6;
/** The numbers of a longer vector are drawn as a line. */
const MOST_BARS = 200;
/** Of a longer signal the smallest and the largest value of each piece are drawn. */
const MOST_POINTS = 1_440;

/** The points of a line, or those between which a long one moves. */
function pointsOf(values: Float32Array): { x: number[]; y: number[] } {
  if (values.length <= MOST_POINTS) return { x: [...values.keys()], y: [...values] };
  const pieces = MOST_POINTS / 2;
  const x: number[] = [];
  for (let piece = 0; piece < pieces; piece++) {
    const start = Math.floor(piece * values.length / pieces);
    const end = Math.floor((piece + 1) * values.length / pieces);
    let [low, high] = [start, start];
    for (let i = start; i < end; i++) {
      if (values[i] < values[low]) low = i;
      if (values[i] > values[high]) high = i;
    }
    x.push(...low <= high ? [low, high] : [high, low]);
  }
  return { x, y: x.map((i) => values[i]) };
}

/** A map `[length]` as what lies behind a signal. */
export function shadeOf({ data }: NdArrayLike, largest: number): Shade {
  const shares = stretched(data, Math.min(data.length, SHOWN.width)).map((value) =>
    largest > 0 ? Math.max(-1, Math.min(1, value / largest)) : 0
  );
  return { shares: [...shares], from: -0.5, to: data.length - 0.5 };
}

/**
 * A signal `[length, c]`: a line a channel; of more than six channels a strip each. A vector `[n]`: bars.
 *
 * @param shade what lies behind the lines
 */
export function signalBlock(
  signal: NdArrayLike,
  { alt, shade, width = SHOWN.width, ...words }: {
    heading?: string;
    note?: string;
    alt: string;
    shade?: Shade;
    width?: number;
  },
): Chart | Picture {
  const [length, channels = 1] = signal.shape;
  const isVector = signal.shape.length === 1;
  if (channels > MOST_LINES) return stripsOf(signal, { ...words, alt });
  const series = Array.from({ length: channels }, (_, channel): Series => ({
    label: channels === 1 ? "value" : `channel ${channel}`,
    ...pointsOf(isVector ? Float32Array.from(signal.data) : channelOf(signal, channel).data),
    ...isVector && length <= MOST_BARS && { as: "bars" },
    ...shade && channels === 1 && { ink: true },
  }));
  return {
    kind: "chart",
    ...words,
    series,
    x: { title: isVector ? "place" : "cell", min: -0.5, max: length - 0.5, ...length <= 20 && { whole: true } },
    y: { title: "value" },
    ...SHOWN,
    width,
    alt,
    ...shade && { shade },
  };
}

/** Numbers `[length, c]` as strips, a row a channel. */
export function stripsOf(
  values: NdArrayLike,
  { largest, palette, alt, ...words }: {
    largest?: number;
    palette?: "inferno" | "grey";
    heading?: string;
    note?: string;
    alt: string;
  },
): Picture {
  const channels = values.shape[1];
  const isSigned = values.data.some((value) => value < 0);
  return {
    ...mapsPicture(values.shape.slice(0, 1), {
      count: channels,
      values: (channel) => channelOf(values, channel).data,
      ...largest !== undefined && { largest: () => largest },
      palette: isSigned ? "diverging" : palette ?? "grey",
      label: (channel) => {
        const { data } = channelOf(values, channel);
        return `channel ${channel}\nvalues ${brief(Math.min(...data))} … ${brief(Math.max(...data))}`;
      },
      alt,
    }),
    ...words,
  };
}
