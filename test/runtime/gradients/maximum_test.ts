import { describe, expect, test } from "vitest";
import { doctor, ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import { uniforms } from "../../nets.ts";

const available = (await doctor()).rows.filter((row) => row.available).map((row) => row.name);

/** What each cell gets when the first greatest cell along some axes takes the gradient, found by walking. */
function naive(x: Float32Array, shape: number[], axes: number[], dy: Float32Array): number[] {
  const best = new Map<string, number>();
  const keyOf = (index: number) => {
    const at: number[] = [];
    for (let axis = shape.length - 1, rest = index; axis >= 0; axis--) {
      at.unshift(rest % shape[axis]);
      rest = Math.floor(rest / shape[axis]);
    }
    return at.filter((_, axis) => !axes.includes(axis)).join();
  };
  for (const [i, value] of x.entries()) {
    const found = best.get(keyOf(i));
    if (found === undefined || value > x[found]) best.set(keyOf(i), i);
  }
  const dx = new Array(x.length).fill(0);
  [...best.values()].forEach((index, i) => dx[index] = dy[i]);
  return dx;
}

describe.each(available)("the gradient of a maximum on %s", (backend) => {
  test.each([[[1, 2]], [[2]], [[0, 3]], [[0, 1, 2, 3]]])(
    "over axes %j goes to the first of equal cells",
    async (axes) => {
      await useBackend(backend);
      const tf = await ensureBackend();
      const random = uniforms(7);
      const shape = [2, 4, 3, 5];
      // Few different values, so that most maxima are shared.
      const x = Float32Array.from({ length: 120 }, () => Math.floor(random() * 3));
      const kept = shape.filter((_, axis) => !axes.includes(axis));
      const weights = Float32Array.from({ length: kept.reduce((a, b) => a * b, 1) }, random);
      for (const keepDims of [false, true]) {
        const gradient = tf.tidy(() =>
          tf.grad((t) => tf.sum(tf.mul(tf.reshape(tf.max(t, axes, keepDims), [-1]), tf.tensor1d(weights))))(
            tf.tensor(x, shape),
          )
        );
        expect([...await gradient.data()]).toEqual(naive(x, shape, axes, weights));
        gradient.dispose();
      }
    },
  );

  test("through a global max pooling in which nothing fired, one cell takes it", async () => {
    await useBackend(backend);
    const tf = await ensureBackend();
    const layer = tf.layers.globalMaxPooling2d({});
    const gradient = tf.tidy(() => tf.grad((t) => tf.sum(layer.apply(tf.relu(t)) as typeof t))(tf.ones([1, 3, 3, 2])));
    const values = [...await gradient.data()];
    expect(values).toEqual([1, 1, ...new Array(16).fill(0)]);
    gradient.dispose();
  });
});
