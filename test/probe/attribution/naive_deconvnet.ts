/**
 * A deconvolutional network as Zeiler and Fergus describe it, written as loops over plain arrays: the way there notes the
 * switches of each pooling, the way back unpools by them, rectifies and filters. Slow, and simple enough to trust.
 */

/** Maps as `[h, w, c]`, row by row. */
export interface Maps {
  data: Float64Array;
  height: number;
  width: number;
  channels: number;
}

interface Window {
  size: [number, number];
  strides: [number, number];
  padding: "same" | "valid";
}

export type NaiveLayer =
  /** `kernel[dy][dx][from][to]` in one row. */
  | { kind: "conv"; kernel: ArrayLike<number>; bias: ArrayLike<number>; filters: number; dilation: number } & Window
  | { kind: "max" } & Window
  | { kind: "average" } & Window
  | { kind: "relu" }
  /** `kernel[from][to]` in one row; its output is 1 by 1 cells. */
  | { kind: "dense"; kernel: ArrayLike<number>; bias: ArrayLike<number>; units: number };

const zeros = (height: number, width: number, channels: number): Maps => ({
  data: new Float64Array(height * width * channels),
  height,
  width,
  channels,
});
const at = ({ width, channels }: Maps, y: number, x: number, c: number) => (y * width + x) * channels + c;

/** How many windows there are, and where the first begins. */
function lay(input: number, size: number, stride: number, padding: "same" | "valid"): [count: number, first: number] {
  if (padding === "valid") return [Math.floor((input - size) / stride) + 1, 0];
  const count = Math.ceil(input / stride);
  return [count, -Math.floor(Math.max(0, (count - 1) * stride + size - input) / 2)];
}

/** Every cell of every window that lies inside: which output cell, which input cell, which tap. */
function* cells(input: Maps, { size, strides, padding }: Window, dilation = 1) {
  const [rows, top] = lay(input.height, (size[0] - 1) * dilation + 1, strides[0], padding);
  const [columns, left] = lay(input.width, (size[1] - 1) * dilation + 1, strides[1], padding);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let dy = 0; dy < size[0]; dy++) {
        for (let dx = 0; dx < size[1]; dx++) {
          const y = top + row * strides[0] + dy * dilation;
          const x = left + column * strides[1] + dx * dilation;
          if (y >= 0 && x >= 0 && y < input.height && x < input.width) yield { row, column, y, x, dy, dx };
        }
      }
    }
  }
}

function outputOf(input: Maps, window: Window, channels: number, dilation = 1): Maps {
  const [rows] = lay(input.height, (window.size[0] - 1) * dilation + 1, window.strides[0], window.padding);
  const [columns] = lay(input.width, (window.size[1] - 1) * dilation + 1, window.strides[1], window.padding);
  return zeros(rows, columns, channels);
}

/** What a layer puts out, and how it sends a signal back. */
function run(layer: NaiveLayer, x: Maps): { y: Maps; back: (signal: Maps) => Maps } {
  const empty = () => zeros(x.height, x.width, x.channels);
  if (layer.kind === "relu") {
    const rectified = (maps: Maps): Maps => ({ ...maps, data: maps.data.map((value) => Math.max(0, value)) });
    return { y: rectified(x), back: rectified };
  }
  if (layer.kind === "dense") {
    const y = zeros(1, 1, layer.units);
    for (let to = 0; to < layer.units; to++) {
      y.data[to] = layer.bias[to];
      for (let from = 0; from < x.data.length; from++) {
        y.data[to] += x.data[from] * layer.kernel[from * layer.units + to];
      }
    }
    return {
      y,
      back(signal) {
        const result = empty();
        for (let from = 0; from < x.data.length; from++) {
          for (let to = 0; to < layer.units; to++) {
            result.data[from] += signal.data[to] * layer.kernel[from * layer.units + to];
          }
        }
        return result;
      },
    };
  }
  if (layer.kind === "conv") {
    const y = outputOf(x, layer, layer.filters, layer.dilation);
    const weight = (dy: number, dx: number, from: number, to: number) =>
      layer.kernel[((dy * layer.size[1] + dx) * x.channels + from) * layer.filters + to];
    for (let i = 0; i < y.data.length; i++) y.data[i] = layer.bias[i % layer.filters];
    for (const cell of cells(x, layer, layer.dilation)) {
      for (let from = 0; from < x.channels; from++) {
        for (let to = 0; to < layer.filters; to++) {
          y.data[at(y, cell.row, cell.column, to)] += x.data[at(x, cell.y, cell.x, from)] *
            weight(cell.dy, cell.dx, from, to);
        }
      }
    }
    return {
      y,
      back(signal) {
        const result = empty();
        for (const cell of cells(x, layer, layer.dilation)) {
          for (let from = 0; from < x.channels; from++) {
            for (let to = 0; to < layer.filters; to++) {
              result.data[at(x, cell.y, cell.x, from)] += signal.data[at(y, cell.row, cell.column, to)] *
                weight(cell.dy, cell.dx, from, to);
            }
          }
        }
        return result;
      },
    };
  }
  const y = outputOf(x, layer, x.channels);
  if (layer.kind === "max") {
    // The switches: for each output the place of its maximum, of equal ones the first.
    const switches = new Int32Array(y.data.length).fill(-1);
    for (const cell of cells(x, layer)) {
      for (let c = 0; c < x.channels; c++) {
        const out = at(y, cell.row, cell.column, c);
        const place = at(x, cell.y, cell.x, c);
        if (switches[out] < 0 || x.data[place] > x.data[switches[out]]) switches[out] = place;
      }
    }
    switches.forEach((place, out) => y.data[out] = x.data[place]);
    return {
      y,
      back(signal) {
        const result = empty();
        switches.forEach((place, out) => result.data[place] += signal.data[out]);
        return result;
      },
    };
  }
  const counts = new Float64Array(y.data.length);
  for (const cell of cells(x, layer)) {
    for (let c = 0; c < x.channels; c++) {
      const out = at(y, cell.row, cell.column, c);
      counts[out]++;
      y.data[out] += x.data[at(x, cell.y, cell.x, c)];
    }
  }
  counts.forEach((count, out) => y.data[out] /= count);
  return {
    y,
    back(signal) {
      const result = empty();
      for (const cell of cells(x, layer)) {
        for (let c = 0; c < x.channels; c++) {
          const out = at(y, cell.row, cell.column, c);
          result.data[at(x, cell.y, cell.x, c)] += signal.data[out] / counts[out];
        }
      }
      return result;
    },
  };
}

/**
 * Sends the strongest unit of a channel of the last layer back to the input.
 *
 * @returns the signal after each layer on the way back, the one at the input last; the unit's cell and activation
 */
export function naiveDeconvnet(
  network: readonly NaiveLayer[],
  input: Maps,
  channel: number,
): { signals: Maps[]; cell: [number, number]; activation: number } {
  let maps = input;
  const backs = network.map((layer) => {
    const { y, back } = run(layer, maps);
    maps = y;
    return back;
  });
  let best = channel;
  for (let i = channel; i < maps.data.length; i += maps.channels) if (maps.data[i] > maps.data[best]) best = i;
  let signal = zeros(maps.height, maps.width, maps.channels);
  signal.data[best] = 1;
  const signals = backs.reverse().map((back) => signal = back(signal));
  const cell = Math.floor(best / maps.channels);
  return { signals, cell: [Math.floor(cell / maps.width), cell % maps.width], activation: maps.data[best] };
}
