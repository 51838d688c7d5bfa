/** A training run made up by formulas, to draw. */

import { ndarray } from "../../lib/array.ts";
import type { DrawnHistory } from "../../lib/results/training_figures.ts";
import { landscape, uniforms } from "../nets.ts";

const EPOCHS = 4;
const SHARES = { conv1: 0.42, pool1: 0.3, conv2: 0.5, dense1: 0.55 };

/** Four epochs of a net of two convolutions: its filters grow out of noise, its maps get sparser. */
export function sampleHistory(): DrawnHistory {
  const random = uniforms(4);
  const epochs = Array.from({ length: EPOCHS + 1 }, (_, epoch) => epoch);
  const filters = (share: number) => {
    const data = new Float32Array(7 * 7 * 3 * 12);
    for (let i = 0; i < data.length; i++) {
      const filter = i % 12;
      const [x, y] = [Math.floor(i / 36) % 7 - 3, Math.floor(i / 36 / 7) - 3];
      const angle = filter * Math.PI / 12;
      const phase = 1.3 * (x * Math.cos(angle) + y * Math.sin(angle)) + Math.floor(i / 12) % 3 * (filter % 3) * 0.7;
      data[i] = share * Math.exp(-(x * x + y * y) / 9) * Math.cos(phase) + (1 - share) * (random() - 0.5);
    }
    return ndarray(data, [7, 7, 3, 12]);
  };
  const maps = (side: number, channels: number, share: number) =>
    ndarray(Float32Array.from({ length: side * side * channels }, () => Math.max(0, random() - share)), [
      side,
      side,
      channels,
    ]);
  return {
    model: "sample-net",
    dataset: "made-up images",
    probe: landscape(),
    rows: epochs.slice(1).map((epoch) => ({
      epoch,
      loss: 0.3 + 2.2 * Math.exp((1 - epoch) / 2),
      accuracy: 1 - 0.8 * Math.exp((1 - epoch) / 2),
      validationLoss: 0.6 + 1.9 * Math.exp((1 - epoch) / 2),
      validationAccuracy: 0.85 - 0.6 * Math.exp((1 - epoch) / 2),
      learningRate: epoch < 3 ? 0.01 : 0.001,
    })),
    layers: epochs.flatMap((epoch) =>
      Object.entries(SHARES).map(([layer, share], i) => ({
        epoch,
        layer,
        sparsity: share + 0.08 * epoch * (1 - share),
        dead: Math.max(0, 0.03 * (epoch - 1) * i),
      }))
    ),
    snapshots: [0, 2, 4].map((epoch) => ({
      epoch,
      weights: {
        "conv1/kernel": filters(epoch / EPOCHS),
        "conv1/bias": ndarray(new Float32Array(12), [12]),
        "conv2/kernel": ndarray(new Float32Array(3 * 3 * 6 * 8), [3, 3, 6, 8]),
      },
      activations: {
        conv1: maps(8, 6, 0.1 * epoch),
        conv2: maps(4, 8, 0.2 * epoch),
        dense1: ndarray(new Float32Array(10), [10]),
      },
    })),
  };
}
