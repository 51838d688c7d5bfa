/**
 * What runs before each file of tests: chance is the same in each run.
 *
 * Fresh weights of TensorFlow.js that name no seed are drawn by `Math.random`. A network whose ReLUs were all 0 by
 * chance would fail a test once in a hundred runs. So `Math.random` begins anew before each test, from the test's name.
 * `CONVLENS_TEST_SEED=7` draws others, which tests should stand, too.
 */

import { beforeEach } from "vitest";
import { randomStream } from "../lib/random.ts";

const seed = Number(Deno.env.get("CONVLENS_TEST_SEED") ?? 0);

let random = randomStream(seed);
Math.random = () => random();

beforeEach(({ task }) => {
  random = randomStream(seed, ...new TextEncoder().encode(task.fullTestName));
});
