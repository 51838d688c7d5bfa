/** The backends themselves, each in this process or, where the first use counts, in a process of its own. */

import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { type BackendName, doctor, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { isSoftwareAdapter } from "../../lib/runtime/webgpu.ts";

/** What tfjs advertises or warns of without need; the drivers and libtensorflow write notes of their own. */
const TFJS_NOISE = /Hi, looks like|already registered|TensorFlow\.js|tfjs/;

const MODULE = new URL("../../lib/runtime/backend.ts", import.meta.url).href;

/** Runs TypeScript in a fresh Deno and gives what it printed. */
async function inFreshDeno(code: string, env: Record<string, string> = {}) {
  const source = `import { doctor, ensureBackend, useBackend } from ${JSON.stringify(MODULE)};\n${code}`;
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", source],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: { CONVLENS_BACKEND: "", NO_COLOR: "1", ...env },
  }).output();
  const text = new TextDecoder();
  return { stdout: text.decode(stdout), stderr: text.decode(stderr), success };
}

// What a run's environment prefers is tested below, in processes of their own.
Deno.env.delete("CONVLENS_BACKEND");
const report = await doctor();
const available = report.rows.filter((row) => row.available).map((row) => row.name);
for (const { name, reason } of report.rows) {
  if (!available.includes(name)) console.log(`Tests that need ${name} are skipped: ${reason}.`);
}

const adapter = available.includes("webgpu") ? await navigator.gpu.requestAdapter() : null;
const software = adapter !== null && isSoftwareAdapter(adapter.info);

describe("useBackend", () => {
  test.each(available)("%s computes a convolution by hand's numbers", async (name) => {
    const info = await useBackend(name);
    expect(info.name).toBe(name);
    expect(info.device).not.toBe("");
    expect(info.version).toMatch(/^\d+\.\d+/);
    const tf = await ensureBackend();
    expect(tf.getBackend()).toBe(name);
    const image = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 3, 3, 1]);
    const filter = tf.tensor4d([1, 10, 100, 1000], [2, 2, 1, 1]);
    const output = tf.conv2d(image, filter, 1, "valid");
    // 1·1 + 2·10 + 4·100 + 5·1000, and so on: row-major, no flip.
    expect([...await output.data()]).toEqual([5421, 6532, 8754, 9865]);
    tf.dispose([image, filter, output]);
  });

  test("wasm tells its device, its package's version and its one thread", async () => {
    expect(await useBackend("wasm")).toEqual({ name: "wasm", device: "CPU (SIMD)", version: "4.22.0", threads: 1 });
  });

  test("a name that does not exist lists those that do", async () => {
    const error = await useBackend("wsam" as BackendName).catch((error) => error);
    expect(error).toBeInstanceOf(RangeError);
    for (const name of ["auto", "tensorflow", "webgpu", "wasm", "cpu"]) {
      expect(error.message).toContain(JSON.stringify(name));
    }
    expect(error.message).toContain('no backend "wsam"');
  });

  test.each(available)("tensors and a layers model move from %s to every other backend", async (from) => {
    await useBackend(from);
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({
          inputShape: [9, 9, 3],
          filters: 4,
          kernelSize: 3,
          activation: "relu",
          kernelInitializer: tf.initializers.glorotNormal({ seed: 1 }),
        }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 5, kernelInitializer: tf.initializers.glorotNormal({ seed: 2 }) }),
      ],
    });
    const predict = async () => {
      const output = tf.tidy(() => model.predict(tf.linspace(-1, 1, 243).reshape([1, 9, 9, 3])));
      const values = await (output as ReturnType<typeof tf.scalar>).data();
      tf.dispose(output);
      return [...values];
    };
    const wanted = await predict();
    const result = tf.tidy(() => tf.matMul(tf.ones([8, 64]), tf.ones([64, 8])));
    await result.data();
    for (const to of available) {
      await useBackend(to);
      const found = await predict();
      found.forEach((value, i) => expect(value).toBeCloseTo(wanted[i], 5));
      const sum = tf.tidy(() => tf.sum(result));
      expect((await sum.data())[0]).toBe(4096);
      await result.data();
      sum.dispose();
    }
    result.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  test.skipIf(!available.includes("webgpu"))("a tensor that cannot leave WebGPU says what to await", async () => {
    await useBackend("webgpu");
    const tf = await ensureBackend();
    const result = tf.tidy(() => tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])));
    await useBackend("wasm");
    expect(() => tf.tidy(() => tf.neg(result))).toThrow(/cannot read a tensor back from WebGPU .* Await its data\(\)/);
    expect((await result.data())[0]).toBe(64);
    const negative = tf.neg(result);
    expect((await negative.data())[0]).toBe(-64);
    tf.dispose([result, negative]);
  });

  test.skipIf(!available.includes("webgpu"))("native TensorFlow may come after WebGPU", async () => {
    const wanted = available.filter((name) => name !== "wasm");
    const { stdout, success } = await inFreshDeno(`
      for (const name of ${JSON.stringify(wanted.reverse())}) {
        await useBackend(name);
        const tf = await ensureBackend();
        console.log(name, (await tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).data())[0]);
      }
    `);
    expect(stdout.trim().split("\n")).toEqual(wanted.map((name) => `${name} 64`));
    expect(success).toBe(true);
  });

  test("no listener for uncaught errors stays behind: they would end a notebook's kernel", async () => {
    const { stdout } = await inFreshDeno(`
      import process from "node:process";
      const count = () => ["uncaughtException", "unhandledRejection"].map((event) => process.listenerCount(event));
      const before = count();
      await useBackend("wasm");
      console.log(JSON.stringify([before, count()]));
    `);
    expect(stdout).toBe("[[0,0],[0,0]]\n");
  });
});

describe("ensureBackend", () => {
  test("importing loads nothing; the first call takes auto and says so in one line, the next ones nothing", async () => {
    const { stdout, stderr, success } = await inFreshDeno(`
      console.log("loaded", "_tfengine" in globalThis);
      const all = await Promise.all([ensureBackend(), ensureBackend(), useBackend(), useBackend("auto")]);
      const tf = await ensureBackend();
      console.log("same", all[0] === all[1] && all[0] === tf, tf.getBackend() === all[2].name, tf.memory().numTensors);
    `);
    const lines = stdout.trim().split("\n");
    expect(lines).toEqual([
      "loaded false",
      expect.stringMatching(new RegExp(`^convlens computes with ${report.auto} on .+; doctor\\(\\) tells why\\.$`)),
      "same true true 0",
    ]);
    expect(stderr).not.toMatch(TFJS_NOISE);
    expect(success).toBe(true);
  });

  test.skipIf(!software)("auto never takes a software adapter, though it passes the self-check", async () => {
    expect(report.rows.find((row) => row.name === "webgpu")?.reason).toMatch(/^software \(.+\), only by name$/);
    expect(report.auto).not.toBe("webgpu");
    const { stdout } = await inFreshDeno("console.log((await useBackend()).name);");
    expect(stdout.trim().split("\n").at(-1)).toBe(report.auto);
  });

  test("the environment names what auto takes", async () => {
    const code = `const tf = await ensureBackend();
      tf.tidy(() => tf.ones([2]));
      console.log(tf.getBackend(), (await doctor()).auto);`;
    const { stdout, stderr } = await inFreshDeno(code, { CONVLENS_BACKEND: "cpu" });
    expect(stdout).toMatch(/^convlens computes with cpu .*\ncpu cpu\n$/);
    expect(stderr).not.toMatch(TFJS_NOISE);
  });

  test("a wrong name in the environment is an error that names the variable", async () => {
    const { stderr, success } = await inFreshDeno("await ensureBackend();", { CONVLENS_BACKEND: "cuda" });
    expect(success).toBe(false);
    expect(stderr).toContain('RangeError: There is no backend "cuda" in convlens');
    expect(stderr).toContain("CONVLENS_BACKEND");
  });

  test("a backend that cannot start is an error with reason and remedy, and the active one stays", async () => {
    const code = `await useBackend("wasm");
      console.log(await useBackend("tensorflow").catch(String));
      console.log((await ensureBackend()).getBackend());`;
    const { stdout, success } = await inFreshDeno(code, { XDG_DATA_HOME: "/nowhere" });
    expect(success).toBe(true);
    expect(stdout.trim().split("\n")).toEqual([
      expect.stringMatching(
        /^BackendError: The backend "tensorflow" cannot be used: native library .+\. .*another backend\.$/,
      ),
      "wasm",
    ]);
  });

  test("the environment's backend is no wish: it starts or fails", async () => {
    const env = { CONVLENS_BACKEND: "tensorflow", XDG_DATA_HOME: "/nowhere" };
    const { stderr, success } = await inFreshDeno("await ensureBackend();", env);
    expect(success).toBe(false);
    expect(stderr).toContain('BackendError: The backend "tensorflow" cannot be used');
  });
});

describe("doctor", () => {
  afterEach(async () => void await useBackend("wasm"));

  test("lists every backend with its reasons; wasm and cpu are always there", () => {
    expect(report.rows.map((row) => row.name)).toEqual(["tensorflow", "webgpu", "wasm", "cpu"]);
    expect(available).toEqual(expect.arrayContaining(["wasm", "cpu"]));
    for (const row of report.rows) {
      expect(row.reason === "").toBe(row.name === report.auto);
      expect(row.device !== "").toBe(row.available);
      if (row.available && row.name !== "cpu") expect(row.selfCheck).toBeLessThan(1e-5);
    }
  });

  test("prints as a table with a line a backend and what auto takes", () => {
    const lines = String(report).split("\n");
    const advice = lines.filter((line) => line.startsWith("tensorflow: "));
    expect(lines).toHaveLength(6 + advice.length);
    expect(lines[0]).toMatch(/^\s+backend\s+device\s+version\s+self-check\s+why auto does not take it$/);
    expect(lines.filter((line) => line.startsWith("→ "))).toEqual([
      expect.stringContaining(report.auto),
    ]);
    expect(lines.at(-1)).toBe(`auto takes ${report.auto}.`);
  });

  test("leaves the active backend and the tensors as they were", async () => {
    await useBackend("cpu");
    const tf = await ensureBackend();
    const kept = tf.tensor1d([1, 2, 3]);
    const before = tf.memory().numTensors;
    await doctor();
    expect(tf.getBackend()).toBe("cpu");
    expect(tf.memory().numTensors).toBe(before);
    expect([...tf.neg(kept).dataSync()]).toEqual([-1, -2, -3]);
    tf.disposeVariables();
    kept.dispose();
  });

  test("called first of all, it leaves no backend active, and auto is still to be taken", async () => {
    const { stdout } = await inFreshDeno(`
      await doctor();
      const { tf } = await import(${JSON.stringify(new URL("./tfjs.ts", MODULE).href)});
      console.log(String((await tf()).getBackend()), (await tf()).memory().numTensors);
      await ensureBackend();
    `);
    expect(stdout).toMatch(/^undefined 0\nconvlens computes with /);
  });

  test("as a task prints the table", async () => {
    const { stdout, success } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "doctor"],
      cwd: fileURLToPath(new URL("../../", import.meta.url)),
      env: { CONVLENS_BACKEND: "", NO_COLOR: "1" },
    }).output();
    expect(success).toBe(true);
    expect(new TextDecoder().decode(stdout)).toBe(`${report}\n`);
  });
});
