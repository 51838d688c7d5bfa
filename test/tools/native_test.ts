/** Finding, building, installing and removing native TensorFlow, with made-up folders and, if there is one, a wheel. */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ADDON, findAddon, NativeError, nativeFolder, RECORD } from "../../lib/runtime/native/addon.ts";
import { build, findCompiler, findHeaders, findSources } from "../../lib/tools/native/build.ts";
import { readCommand, replaceFolder } from "../../lib/tools/native/gpu.ts";
import { findWheel, places, type Wheel } from "../../lib/tools/native/wheel.ts";
import { ALL } from "../long.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const linux = Deno.build.os === "linux";

let folder: string;
beforeEach(async () => {
  folder = await Deno.makeTempDir({ prefix: "convlens native " });
});
afterEach(() => Deno.remove(folder, { recursive: true }));

async function write(path: string, text = ""): Promise<string> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
  return path;
}

/** A program that is a shell script. */
async function program(name: string, script: string): Promise<string> {
  const path = await write(join(folder, "bin", name), `#!/bin/sh\n${script}\n`);
  await Deno.chmod(path, 0o755);
  return path;
}

const WHEEL_FILES = [
  "libtensorflow_cc.so.2",
  "libtensorflow_framework.so.2",
  "include/tensorflow/c/c_api.h",
  "include/tensorflow/c/eager/c_api.h",
  "include/tensorflow/core/platform/ctstring_internal.h",
];

/** A virtual environment with what looks like a wheel; returns the environment's folder. */
async function environment(name: string, installed = "tensorflow-2.21.0", without?: string): Promise<string> {
  const site = join(folder, name, "lib", "python3.11", "site-packages");
  for (const file of WHEEL_FILES) if (file !== without) await write(join(site, "tensorflow", file));
  await write(join(site, "tensorflow_estimator-2.15.0.dist-info", "METADATA"));
  if (installed) await write(join(site, `${installed}.dist-info`, "METADATA"));
  return join(folder, name);
}

const siteOf = (environment: string) => join(environment, "lib", "python3.11", "site-packages");
const nowhere = () => ({ base: folder, environments: [], pythons: [] });
const messageOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(() => undefined, (error) => error);
  expect(error).toBeInstanceOf(NativeError);
  return String(error.message);
};

describe("readCommand", () => {
  test("knows its options", () => {
    expect(readCommand([])).toEqual({ do: "install", wheel: false });
    expect(readCommand(["--wheel"])).toEqual({ do: "install", wheel: true, path: undefined });
    expect(readCommand(["--wheel", "venv"])).toEqual({ do: "install", wheel: true, path: "venv" });
    expect(readCommand(["--check"])).toEqual({ do: "check" });
    expect(readCommand(["--undo"])).toEqual({ do: "undo" });
  });

  test.each([[["--weel"]], [["venv"]], [["--wheel", "--undo"]], [["--undo", "now"]], [["--wheel", "a", "b"]]])(
    "refuses %j and lists what it knows",
    (args) => {
      expect(() => readCommand(args)).toThrow(NativeError);
      expect(() => readCommand(args)).toThrow(args.join(" "));
      expect(() => readCommand(args)).toThrow("deno task gpu --undo");
    },
  );
});

describe("findWheel", () => {
  test("takes the first environment that has one, and tells name, version and where", async () => {
    const empty = await write(join(folder, "empty", "lib", "python3.11", "site-packages", "pip.py")).then(() =>
      join(folder, "empty")
    );
    const [first, second] = [await environment("first", "tensorflow_cpu-2.20.1"), await environment("second")];
    const wheel = await findWheel(undefined, {
      ...nowhere(),
      environments: [
        { folder: undefined, name: "the unset one" },
        { folder: empty, name: "the empty one" },
        { folder: first, name: "the first one" },
        { folder: second, name: "the second one" },
      ],
    });
    expect(wheel).toEqual({
      folder: join(siteOf(first), "tensorflow"),
      name: "tensorflow-cpu",
      version: "2.20.1",
      foundBy: `the first one (${first})`,
    });
  });

  test.skipIf(Deno.build.os === "windows")("asks the pythons after the environments", async () => {
    const site = siteOf(await environment("system"));
    const without = await program("python-without", "echo");
    const python = await program("python3", `echo '${join(site, "tensorflow")}'`);
    const wheel = await findWheel(undefined, { ...nowhere(), pythons: [join(folder, "none"), without, python] });
    expect(wheel).toMatchObject({ folder: join(site, "tensorflow"), version: "2.21.0", foundBy: python });
  });

  test("accepts an environment, a site-packages folder and the folder tensorflow, also relative ones", async () => {
    const named = await environment("named");
    const wanted = join(siteOf(named), "tensorflow");
    for (const path of [named, "named", "./named/", siteOf(named), wanted]) {
      expect((await findWheel(path, nowhere())).folder, path).toBe(wanted);
    }
  });

  test.skipIf(Deno.build.os === "windows")("accepts a python command", async () => {
    const wanted = join(siteOf(await environment("named")), "tensorflow");
    const python = await program("python3", `echo '${wanted}'`);
    expect((await findWheel(python, nowhere())).folder).toBe(wanted);
    expect((await findWheel("bin/python3", nowhere())).folder).toBe(wanted);
    const without = await program("python-without", "echo");
    expect(await messageOf(findWheel(without, nowhere()))).toContain(
      `${without} -m pip install 'tensorflow[and-cuda]'`,
    );
  });

  test("without one, lists where it looked and what to type", async () => {
    const old = await environment("old", "tensorflow-2.9.1", "libtensorflow_cc.so.2");
    const message = await messageOf(findWheel(undefined, {
      ...nowhere(),
      environments: [{ folder: old, name: "the old one" }],
      pythons: ["python-that-is-not-there"],
    }));
    expect(message).toMatch(/tensorflow 2\.9\.1 in .*old.* has no libtensorflow_cc\.so\.2: it is too old/);
    expect(message).toContain("python-that-is-not-there was not found");
    expect(message).toContain("pip install 'tensorflow[and-cuda]'");
    expect(message).toContain("deno task gpu --wheel");
  });

  test("passes over one that is too old, unless it was named", async () => {
    const old = await environment("old", "tensorflow-2.9.1", "libtensorflow_cc.so.2");
    const fresh = await environment("fresh");
    const environments = [{ folder: old, name: "the old one" }, { folder: fresh, name: "the fresh one" }];
    expect((await findWheel(undefined, { ...nowhere(), environments })).version).toBe("2.21.0");
    expect(await messageOf(findWheel(old, { ...nowhere(), environments }))).toMatch(/2\.9\.1.*pip install --upgrade/);
  });

  test.each(WHEEL_FILES)("names the missing %s", async (file) => {
    expect(await messageOf(findWheel(await environment("torn", undefined, file), nowhere()))).toContain(
      `has no ${file}`,
    );
  });

  test("does not take an add-on's version for TensorFlow's", async () => {
    expect(await messageOf(findWheel(await environment("copied", ""), nowhere()))).toContain("has no version");
  });

  test("an environment without tensorflow is told its own pip", async () => {
    const pip = await write(join(folder, "bare", "bin", "pip"));
    expect(await messageOf(findWheel("bare", nowhere()))).toContain(`${pip} install 'tensorflow[and-cuda]'`);
    expect(await messageOf(findWheel(folder, nowhere()))).toContain("python3 -m venv");
    expect(await messageOf(findWheel("bera", nowhere()))).toMatch(/^bera is neither a folder nor a python command/);
  });
});

describe.skipIf(Deno.build.os === "windows")("findCompiler and findHeaders", () => {
  test("without a compiler, tell what to type", async () => {
    const message = await messageOf(findCompiler(undefined, ["g++-that-is-not-there"]));
    expect(message).toContain("No C++ compiler was found (g++-that-is-not-there)");
    expect(message).toContain("sudo apt install g++");
  });

  test("take the first compiler that runs, and the one that CXX names before all", async () => {
    const broken = await program("broken", "exit 1");
    const good = await program("good", `echo "good 1.0 $*"`);
    expect(await findCompiler(undefined, [broken, good])).toEqual({
      command: good,
      args: [],
      version: "good 1.0 --version",
    });
    // A folder without a space: CXX may hold arguments.
    const plain = await Deno.makeTempDir();
    try {
      const wrapper = join(plain, "wrapper");
      await Deno.rename(await program("wrapper", `echo "wrapped $*"`), wrapper);
      expect(await findCompiler(`${wrapper} cc`, [good])).toEqual({
        command: wrapper,
        args: ["cc"],
        version: "wrapped cc --version",
      });
    } finally {
      await Deno.remove(plain, { recursive: true });
    }
    expect(await messageOf(findCompiler("not-a-compiler", [good]))).toMatch(/CXX names .*"not-a-compiler".*unset CXX/);
  });

  test("take npm's headers, else an installed Node's", async () => {
    const fromNpm = dirname(await write(join(folder, "npm", "node_api.h")));
    const node = await program("node", `echo '${join(folder, "node", "bin", "node")}'`);
    const fromNode = dirname(await write(join(folder, "node", "include", "node", "node_api.h")));
    expect((await findHeaders(() => Promise.resolve(fromNpm), [node])).folder).toBe(fromNpm);
    const offline = () => Promise.reject(new Error("no network"));
    expect((await findHeaders(offline, ["node-that-is-not-there", node])).folder).toBe(fromNode);
  });

  test("without headers, tell what to type with a network and without", async () => {
    const node = await program("node", `echo '${join(folder, "elsewhere", "bin", "node")}'`);
    const message = await messageOf(findHeaders(() => Promise.reject(new Error("no network")), [node, "not-there"]));
    expect(message).toContain("no network");
    expect(message).toContain("not-there was not found");
    expect(message).toContain(join(folder, "elsewhere", "include", "node"));
    expect(message).toContain("deno cache npm:node-api-headers@");
    expect(message).toContain("install Node");
  });
});

describe("findSources", () => {
  test("finds them in the package", async () => {
    expect((await Deno.stat(join(await findSources(), "tfjs_binding.cc"))).isFile).toBe(true);
  });

  test("names the missing one", async () => {
    await write(join(folder, "tfjs_backend.cc"));
    expect(await messageOf(findSources(folder))).toMatch(/tfjs_binding\.cc is not in .*deno cache --reload=npm:/);
  });
});

describe.skipIf(!linux)("build", () => {
  const parts = (command: string) => ({
    wheel: { folder: join(folder, "a wheel, with comma"), name: "tensorflow", version: "2.21.0" } as Wheel,
    compiler: { command, args: ["--first"], version: "fake 1.0" },
    headers: { folder: "/headers", from: "nowhere" },
    sources: "/sources",
  });

  test("gives the compiler every path as one argument", async () => {
    const compiler = await program("compiler", `for word in "$@"; do echo "$word" >> "${folder}/arguments"; done`);
    const made = await build(join(folder, "new"), parts(compiler));
    const wheel = join(folder, "a wheel, with comma");
    expect(made).toEqual({ way: "wheel", from: "tensorflow 2.21.0", libraries: wheel });
    const given = (await Deno.readTextFile(join(folder, "arguments"))).trim().split("\n");
    expect(given[0]).toBe("--first");
    expect(given).toEqual(expect.arrayContaining(["/headers", join(wheel, "include"), join(folder, "new", ADDON)]));
    expect(given.slice(-4)).toEqual(["-Xlinker", "-rpath", "-Xlinker", wheel]);
  });

  test("that fails shows the compiler's last lines", async () => {
    const compiler = await program("compiler", "seq 100 >&2; echo 'c_api.h: no such type' >&2; exit 1");
    const message = await messageOf(build(join(folder, "new"), parts(compiler)));
    expect(message).toContain("does not compile against tensorflow 2.21.0 with fake 1.0");
    expect(message).toContain("99\n100\nc_api.h: no such type");
    expect(message).not.toContain("\n50\n");
  });
});

describe("replaceFolder", () => {
  const make = (text: string) => (temporary: string) => Deno.writeTextFile(join(temporary, "file"), text);
  const place = () => join(folder, "parent", "place");
  const listed = () => Array.from(Deno.readDirSync(join(folder, "parent")), ({ name }) => name);

  test("makes the folder, then replaces it", async () => {
    await replaceFolder(place(), make("one"), () => Promise.resolve());
    expect(await replaceFolder(place(), make("two"), () => Deno.readTextFile(join(place(), "file")))).toBe("two");
    expect(listed()).toEqual(["place"]);
  });

  test("leaves nothing of one that could not be made, and keeps the former", async () => {
    const half = async (temporary: string) => {
      await make("half")(temporary);
      throw new NativeError("stopped");
    };
    await expect(replaceFolder(place(), half, () => Promise.resolve())).rejects.toThrow("stopped");
    expect(listed()).toEqual([]);
    await replaceFolder(place(), make("one"), () => Promise.resolve());
    await expect(replaceFolder(place(), half, () => Promise.resolve())).rejects.toThrow("stopped");
    expect(listed()).toEqual(["place"]);
    expect(await Deno.readTextFile(join(place(), "file"))).toBe("one");
  });

  test("brings the former back if the new one does not work", async () => {
    const refuse = () => Promise.reject(new NativeError("does not load"));
    await expect(replaceFolder(place(), make("one"), refuse)).rejects.toThrow("does not load");
    expect(listed()).toEqual([]);
    await replaceFolder(place(), make("one"), () => Promise.resolve());
    await expect(replaceFolder(place(), make("two"), refuse)).rejects.toThrow("does not load");
    expect(listed()).toEqual(["place"]);
    expect(await Deno.readTextFile(join(place(), "file"))).toBe("one");
  });
});

describe.skipIf(!linux)("the addon's place", () => {
  const former = Deno.env.get("XDG_DATA_HOME");
  afterEach(() => former === undefined ? Deno.env.delete("XDG_DATA_HOME") : Deno.env.set("XDG_DATA_HOME", former));

  test("is the user's data folder, by version, system and processor", () => {
    Deno.env.set("XDG_DATA_HOME", folder);
    expect(nativeFolder()).toBe(join(folder, "convlens", `tfjs-node-gpu-4.22.0-linux-${Deno.build.arch}`));
    Deno.env.delete("XDG_DATA_HOME");
    expect(nativeFolder()).toMatch(/\/\.local\/share\/convlens\/tfjs-node-gpu-4\.22\.0-linux-/);
  });

  test("is looked at first", async () => {
    Deno.env.set("XDG_DATA_HOME", folder);
    const path = await write(join(nativeFolder()!, ADDON));
    const made = { way: "wheel", from: "tensorflow 2.21.0", libraries: "/gone" };
    await write(join(nativeFolder()!, RECORD), JSON.stringify(made));
    expect(findAddon()).toEqual({ path, made });
  });
});

/** Runs a command with a home for data of its own; gives what it printed. */
async function inHome(args: string[], env: Record<string, string> = {}, cwd = root) {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { CONVLENS_BACKEND: "", NO_COLOR: "1", ...env },
  }).output();
  const text = new TextDecoder();
  return { stdout: text.decode(stdout), stderr: text.decode(stderr), success };
}

const gpu = (args: string[], env: Record<string, string>) =>
  inHome(["run", "-A", "lib/tools/native/gpu.ts", ...args], env);

/** What the package's install script downloads, from a server of ours: nothing but the files given. */
function mirror(files: Record<string, Uint8Array<ArrayBuffer>>) {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
    const name = new URL(url).pathname.slice(1);
    asked.push(name);
    return files[name] ? new Response(files[name]) : new Response("no such file", { status: 404 });
  });
  const origin = `http://127.0.0.1:${server.addr.port}`;
  const env = {
    TFJS_NODE_CDN_STORAGE: `${origin}/`,
    npm_config_tfjs_binding_binary_host_mirror: `${origin}/`,
    ...Object.fromEntries(["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"].map((name) => [name, ""])),
  };
  return { env, asked, stop: () => server.shutdown() };
}

describe.skipIf(!linux)("deno task gpu, where something is missing", () => {
  test("without a wheel it ends with what to type and installs nothing", async () => {
    const { success, stderr } = await gpu(["--wheel", join(folder, "none")], { XDG_DATA_HOME: folder });
    expect(success).toBe(false);
    expect(stderr).toMatch(/none is neither a folder nor a python command/);
    expect(stderr).not.toContain("    at ");
    expect(Array.from(Deno.readDirSync(join(folder, "convlens")))).toEqual([]);
  });

  test("without the web it says so, and goes on to look for a wheel", async () => {
    const empty = mirror({});
    const env = { ...empty.env, XDG_DATA_HOME: folder, VIRTUAL_ENV: "", CONDA_PREFIX: "", INIT_CWD: folder };
    try {
      const { success, stdout, stderr } = await gpu([], { ...env, PATH: join(folder, "no-programs") });
      expect(empty.asked).toEqual([expect.stringMatching(/^tensorflow\/libtensorflow\/libtensorflow-gpu-linux/)]);
      expect(stdout).toMatch(/The package's own install failed: .*TAR_BAD_ARCHIVE/);
      expect(stderr).toContain("No Python wheel of TensorFlow was found");
      expect(stderr).toContain("python3 was not found");
      expect(success).toBe(false);
      expect(Array.from(Deno.readDirSync(join(folder, "convlens")))).toEqual([]);
    } finally {
      await empty.stop();
    }
  });

  test("--undo with nothing installed says so", async () => {
    const { success, stdout } = await gpu(["--undo"], { XDG_DATA_HOME: folder });
    expect(success).toBe(true);
    expect(stdout).toContain("There is nothing to undo");
  });
});

const present = linux && await findWheel(undefined, places(root)).catch((error: Error) => error.message.split("\n")[0]);
const wheel = typeof present === "object" ? present : undefined;
if (!wheel) console.log(`Skipped: tests that build native TensorFlow: ${linux ? present : "not on Linux"}`);

describe.runIf(wheel && ALL)("deno task gpu, against a real wheel", () => {
  let home: string;
  let env: Record<string, string>;
  let site: string;

  beforeAll(async () => {
    home = await Deno.makeTempDir({ prefix: "convlens home " });
    env = { XDG_DATA_HOME: join(home, "data") };
    // The wheel under another path, which a test can take away.
    site = join(home, "site, packages");
    await Deno.mkdir(site);
    const sitePackages = dirname(wheel!.folder);
    for (const { name } of Deno.readDirSync(sitePackages)) {
      if (/^(tensorflow|tf_nightly|nvidia)/.test(name)) await Deno.symlink(join(sitePackages, name), join(site, name));
    }
    const { success, stdout, stderr } = await gpu(["--wheel", site], env);
    expect(success, stderr).toBe(true);
    expect(stdout).toContain(`${wheel!.name} ${wheel!.version} in ${join(site, "tensorflow")}`);
    expect(stdout).toMatch(/Compiled in \d+\.\d s\./);
    expect(stdout).toContain(`TensorFlow ${wheel!.version} on `);
  });
  afterAll(() => Deno.remove(home, { recursive: true }));

  const use = (code: string, cwd?: string) =>
    inHome(
      [
        "eval",
        "--ext=ts",
        `import * as runtime from ${JSON.stringify(`file://${root}lib/runtime/backend.ts`)};\n${code}`,
      ],
      env,
      cwd,
    );

  test("computes, differentiates and trains, by hand's numbers, also from a folder outside of the project", async () => {
    const code = `
      const info = await runtime.useBackend("tensorflow");
      const tf = await runtime.ensureBackend();
      const image = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 3, 3, 1]);
      const filter = tf.tensor4d([1, 10, 100, 1000], [2, 2, 1, 1]);
      const convolved = [...tf.conv2d(image, filter, 1, "valid").dataSync()];
      const gradient = [...tf.grad((x) => tf.sum(tf.conv2d(x, filter, 1, "valid")))(image).dataSync()];
      const largest = [...tf.topk(tf.tensor1d([1, 5, 3]), 2).values.dataSync()];
      const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1], useBias: false,
        kernelInitializer: "zeros" })] });
      model.compile({ loss: "meanSquaredError", optimizer: tf.train.sgd(0.25) });
      await model.fit(tf.tensor2d([[1]]), tf.tensor2d([[1]]), { epochs: 1, verbose: 0 });
      const [weight] = model.getWeights()[0].dataSync();
      console.log(JSON.stringify({ info, convolved, gradient, largest, weight, backend: tf.getBackend() }));`;
    for (const cwd of [root, home]) {
      const { stdout, stderr } = await use(code, cwd);
      expect(stdout, stderr).not.toBe("");
      const found = JSON.parse(stdout);
      expect(found.info).toMatchObject({ name: "tensorflow", version: wheel!.version });
      expect(found.info.device).toMatch(/^(CPU \(native\)|GPU \(CUDA\))$/);
      expect(found.backend).toBe("tensorflow");
      expect(found.convolved).toEqual([5421, 6532, 8754, 9865]);
      // Each cell's gradient is the sum of the filter's weights that reach it.
      expect(found.gradient).toEqual([1, 11, 10, 101, 1111, 1010, 100, 1100, 1000]);
      expect(found.largest).toEqual([5, 3]);
      // One step of 0.25 down the slope of (w - 1)², which is -2 at 0.
      expect(found.weight).toBe(0.5);
    }
  });

  test("doctor and --check show it, and auto takes it", async () => {
    const { stdout } = await use("console.log(String(await runtime.doctor()));");
    expect(stdout).toMatch(new RegExp(`→ +tensorflow .*${wheel!.version.replaceAll(".", "\\.")}`));
    expect(stdout).toContain("auto takes tensorflow.");
    const check = await gpu(["--check"], env);
    expect(check.success, check.stderr).toBe(true);
    expect(check.stdout).toContain(`${wheel!.name} ${wheel!.version}`);
    // It has all that convlens builds into it.
    expect(stdout + check.stdout).not.toContain("slower");
  });

  test("an install that does not work leaves the former in place", async () => {
    const folder = join(home, "data", "convlens");
    const before = Array.from(Deno.readDirSync(folder), ({ name }) => name);
    const { success, stderr } = await gpu(["--wheel", site], { ...env, CXX: "true" });
    expect(success).toBe(false);
    expect(stderr).toContain("Native TensorFlow does not work here");
    expect(Array.from(Deno.readDirSync(folder), ({ name }) => name)).toEqual(before);
    expect((await gpu(["--check"], env)).success).toBe(true);
  });

  test.skipIf(Deno.build.arch !== "x86_64")("the package's own install works under Deno", async () => {
    // The real addon, in an archive of our own; libtensorflow is found beside the wheel.
    const [installed] = Array.from(Deno.readDirSync(join(home, "data", "convlens")), ({ name }) => name);
    const lib = join(home, "data", "convlens", installed, "lib");
    const pack = async (from: string, name: string) => {
      const { success, stdout } = await new Deno.Command("tar", { args: ["cz", "-C", from, name] }).output();
      expect(success).toBe(true);
      return stdout;
    };
    await write(join(folder, "lib", "libtensorflow.so.2.9.1"), "not loaded by this addon");
    const server = mirror({
      "tensorflow/libtensorflow/libtensorflow-gpu-linux-x86_64-2.9.1.tar.gz": await pack(folder, "lib"),
      "napi-v8/4.22.0/GPU-linux-4.22.0.tar.gz": await pack(lib, "napi-v8"),
    });
    const own = { XDG_DATA_HOME: join(folder, "data") };
    try {
      const { success, stdout, stderr } = await gpu([], { ...server.env, ...own });
      expect(success, stderr).toBe(true);
      expect(stdout).toContain(`TensorFlow ${wheel!.version} on `);
      expect(server.asked).toHaveLength(2);
    } finally {
      await server.stop();
    }
    const [name] = Array.from(Deno.readDirSync(join(folder, "data", "convlens")), ({ name }) => name);
    const place = join(folder, "data", "convlens", name);
    expect(JSON.parse(await Deno.readTextFile(join(place, RECORD))).way).toBe("package");
    // The package's addon looks for libtensorflow here.
    expect((await Deno.stat(join(place, "deps", "lib", "libtensorflow.so.2.9.1"))).isFile).toBe(true);
    expect(Array.from(Deno.readDirSync(place), ({ name }) => name).sort()).toEqual(["deps", "lib", RECORD].sort());
  });

  test("when the wheel has gone, the error tells where it was; --undo removes the rest", async () => {
    await Deno.rename(site, `${site} moved`);
    const { stdout } = await use(`
      const error = await runtime.useBackend("tensorflow").catch((error) => error);
      console.log(error.name, error.message);`);
    expect(stdout).toContain("BackendError");
    expect(stdout).toContain(
      `built against ${wheel!.name} ${wheel!.version} in ${join(site, "tensorflow")}, which is gone`,
    );
    const undone = await gpu(["--undo"], env);
    expect(undone.success).toBe(true);
    expect(undone.stdout).toContain("Removed ");
    expect(Array.from(Deno.readDirSync(join(home, "data", "convlens")))).toEqual([]);
  });
});
