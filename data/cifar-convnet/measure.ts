/**
 * Measures the house ConvNet on CIFAR-10's 10,000 test images, none of which it was trained or chosen on:
 *
 * ```sh
 * deno run -A data/cifar-convnet/measure.ts
 * ```
 *
 * @module
 */

import { cifar10, type Image, loadModel, predict } from "../../mod.ts";

/** How many images are held at once. */
const CHUNK = 1000;

const model = await loadModel("cifar-convnet");
const tests = await cifar10({ split: "test" });
const right = new Map(tests.labels!.map((label) => [label, 0]));
let images: Image[] = [];
let labels: string[] = [];

for await (const { image, label } of tests) {
  images.push(image);
  labels.push(label!);
  if (images.length < CHUNK) continue;
  const predictions = await predict(model, images, { top: 1, batchSize: 64 });
  predictions.forEach(({ rows }, i) => {
    if (rows[0].label === labels[i]) right.set(labels[i], right.get(labels[i])! + 1);
  });
  images = [];
  labels = [];
}
for (const [label, count] of right) console.log(`${label.padEnd(12)} ${count} of ${tests.size / right.size}`);
const total = [...right.values()].reduce((a, b) => a + b, 0);
console.log(`${total} of ${tests.size} test images right: ${(100 * total / tests.size).toFixed(2)} %`);
