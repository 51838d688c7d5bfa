import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { startGroup } from "../../../lib/embed/kernels/kernels.ts";
import type { DescentRun } from "../../../lib/embed/tsne/descent.ts";
import { chooseEngine, type ChosenEngine, type EngineChoice, race } from "../../../lib/embed/tsne/engine.ts";
import { graphicsDevice } from "../../../lib/runtime/webgpu.ts";
import { skipFor } from "../../long.ts";

const graphics = await graphicsDevice({ software: true }).catch((error) =>
  skipFor(`tests on a graphics device: ${error.message}`, error)
);
graphics?.device.destroy();

const group = startGroup(2);
let chosen: ChosenEngine | undefined;
afterEach(() => {
  vi.restoreAllMocks();
  chosen?.end();
});
afterAll(() => group.end());

/** Each point's neighbours are the next four. */
function ring(count: number) {
  return {
    count,
    starts: Uint32Array.from({ length: count + 1 }, (_, i) => 4 * i),
    neighbors: Uint32Array.from({ length: 4 * count }, (_, e) => ((e >> 2) + e % 4 + 1) % count),
    values: new Float32Array(4 * count).fill(1 / (4 * count)),
    entropy: -Math.log(4 * count),
  };
}

async function choose(count: number, rest: Partial<EngineChoice> = {}) {
  const asked: boolean[] = [];
  chosen = await chooseEngine(group, {
    components: 2,
    affinities: ring(count),
    repulsion: count < 2500 ? "exact" : "mesh",
    engine: "auto",
    ...rest,
    findDevice: (options) => {
      asked.push(options.software);
      return (rest.findDevice ?? graphicsDevice)(options);
    },
  });
  return { chosen, asked };
}

/** A way to find a device that miscalculates repulsion. */
const findWrong: EngineChoice["findDevice"] = async () => {
  const found = await graphicsDevice({ software: true });
  const make = found.device.createShaderModule.bind(found.device);
  found.device.createShaderModule = ({ code }) => make({ code: code.replace("q * near * d", "q * d") });
  return found;
};

const none = () => Promise.reject(new Error("there is no card"));

describe("what computes the descent", () => {
  test("the processor, if it is asked for or the points are few or many, and no card is looked for", async () => {
    for (
      const [count, engine, reason] of [
        [20_000, "wasm", "It was asked for."],
        [9_999, "auto", "Fewer than 10000 points"],
        [250_001, "auto", "of more than 250000 points they are too many"],
      ] as const
    ) {
      const { chosen, asked } = await choose(count, { engine });
      expect(chosen.engine).toBe("wasm");
      expect(chosen.reason).toContain(reason);
      expect(asked).toEqual([]);
    }
  });

  test("the processor, where there is no card but one that is imitated", async () => {
    const { chosen, asked } = await choose(10_000, { findDevice: none });
    expect(chosen).toMatchObject({ engine: "wasm", reason: "there is no card" });
    // Such as this machine's, if it has one, is not taken unless it is asked for.
    expect(asked).toEqual([false]);
    expect((await choose(10_000)).chosen.engine).toBe("wasm");
  });

  test("none at all, if a card is asked for and there is none", async () => {
    await expect(choose(100, { engine: "webgpu", findDevice: none })).rejects.toThrow("there is no card");
  });

  test.skipIf(!graphics)("a card that is asked for, if it computes as the processor does", async () => {
    for (const components of [2, 3] as const) {
      const { chosen, asked } = await choose(300, { engine: "webgpu", components });
      expect(chosen).toMatchObject({ engine: "webgpu", reason: "It was asked for." });
      expect(asked).toEqual([true]);
      chosen.end();
    }
    await expect(choose(300, { engine: "webgpu", findDevice: findWrong })).rejects.toThrow(
      /computes other steps than the processor: they differ by \d+\.\d %\. Update the graphics driver/,
    );
  });

  test("a card if it takes less than half of the time", async () => {
    // A clock of our own: on a busy machine real time would let anyone win.
    let clock = 0;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    const lasting = (ms: number) => ({
      // Beginnings and ends do not count.
      run: ({ schedule }: DescentRun) => {
        clock += 30 + ms * schedule.iterations;
        return Promise.resolve();
      },
    });
    const trial = (iterations: number) => ({ schedule: { iterations } }) as unknown as DescentRun;
    const [quick, slow] = [await race(lasting(10), lasting(40), trial), await race(lasting(30), lasting(40), trial)];
    expect(quick).toEqual({ card: 10, processor: 40, faster: true });
    expect(slow).toEqual({ card: 30, processor: 40, faster: false });
  });
});
