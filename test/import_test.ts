/** convlens from a web address: the module, its Workers, its kernels and its weights come from there, too. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { longTest } from "./long.ts";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);

/** The parts of the project that a published package has. */
const PUBLIC = /^\/(mod\.ts|lib\/|data\/)/;

const TYPES: Record<string, string> = {
  ts: "application/typescript",
  json: "application/json",
  wasm: "application/wasm",
};

/** What was asked of the server. */
const asked: string[] = [];
let server: Deno.HttpServer<Deno.NetAddr>;
let folder: string;

beforeAll(async () => {
  folder = await Deno.makeTempDir();
  server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async ({ url }) => {
    const { pathname } = new URL(url);
    asked.push(pathname);
    if (!PUBLIC.test(pathname)) return new Response(null, { status: 404 });
    try {
      const file = await Deno.open(new URL(`.${pathname}`, root));
      const type = TYPES[pathname.split(".").at(-1)!] ?? "application/octet-stream";
      return new Response(file.readable, { headers: { "content-type": type } });
    } catch {
      return new Response(null, { status: 404 });
    }
  });
});
afterAll(async () => {
  await server.shutdown();
  await Deno.remove(folder, { recursive: true });
});

/** Deno's cache, with the npm packages that are there already and none of the modules. */
async function freshCache(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  await Deno.mkdir(`${folder}/cache`);
  await Deno.mkdir(npmCache, { recursive: true });
  await Deno.symlink(npmCache, `${folder}/cache/npm`);
  return `${folder}/cache`;
}

longTest("imported from a web address it loads weights, predicts, embeds with Workers and saves a figure", async () => {
  const program = `
    const started: string[] = [];
    const { Worker } = globalThis;
    globalThis.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        started.push(new URL(url).pathname);
      }
    };
    const { loadModel, occlusion, photo, predict, tsne, useBackend } = await import(
      "http://127.0.0.1:${server.addr.port}/mod.ts"
    );
    await useBackend("wasm");
    const model = await loadModel("cifar-convnet");
    const cat = await photo("cat");
    const { rows } = await predict(model, cat, { top: 3 });
    await occlusion(model, cat, { size: 2, stride: 1 });
    const forOcclusion = started.length;
    const data = Float32Array.from({ length: 200 * 5 }, (_, i) => Math.sin(i * i) + (i < 500 ? 5 : 0));
    const map = await tsne({ data, shape: [200, 5] }, { perplexity: 10, iterations: 300, threads: 2 });
    await map.figure().save("map.png");
    const finite = map.points.data.every(Number.isFinite);
    console.log(JSON.stringify({ rows, shape: map.points.shape, finite, started, forOcclusion }));
  `;
  await Deno.mkdir(`${folder}/empty`);
  await Deno.writeTextFile(`${folder}/empty/program.ts`, program);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-config", "--no-lock", "--no-check", "program.ts"],
    cwd: `${folder}/empty`,
    env: { DENO_DIR: await freshCache(), CONVLENS_BACKEND: "", NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  expect(success, text.decode(stderr)).toBe(true);
  const { rows, shape, finite, started, forOcclusion } = JSON.parse(text.decode(stdout).trim().split("\n").at(-1)!);
  expect(rows).toHaveLength(3);
  expect(rows[0].label).toBe("cat");
  expect({ shape, finite }).toEqual({ shape: [200, 2], finite: true });
  if (navigator.hardwareConcurrency > 1) expect(forOcclusion, "Workers of occlusion").toBeGreaterThan(0);
  expect(started.length, "Workers of tsne").toBeGreaterThan(forOcclusion);
  for (const path of started) expect(asked).toContain(path);
  for (const path of ["/mod.ts", "/data/catalog.json", "/data/cifar-convnet/weights.bin"]) {
    expect(asked).toContain(path);
  }
  expect(asked.some((path) => path.endsWith(".wasm"))).toBe(true);
  const png = await Deno.readFile(`${folder}/empty/map.png`);
  expect([...png.subarray(1, 4)]).toEqual([0x50, 0x4e, 0x47]);
  expect(png.length).toBeGreaterThan(5000);
}, 300_000);

test("a package carries no test and no notebook, and is fit to be published", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: fileURLToPath(root),
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  expect(success, text).toBe(true);
  // Packages are imported by a variable, so that importing the module loads none of them. All else is a fault.
  const warnings = new Set([...text.matchAll(/^warning\[(.+?)\]/gm)].map(([, kind]) => kind));
  expect([...warnings].sort()).toEqual(["unanalyzable-dynamic-import", "unanalyzable-import-meta-resolve"]);
  const files = [...text.matchAll(/^\s+file:\/\/(\S+) \(/gm)].map(([, path]) => path.slice(fileURLToPath(root).length));
  expect(files).toEqual(expect.arrayContaining(["mod.ts", "README.md", "LICENSE", "data/catalog.json"]));
  expect(files.filter((path) => !/^(mod\.ts|deno\.json|[A-Z]+(\.md)?|lib\/.+|data\/.+)$/.test(path))).toEqual([]);
  expect(files.filter((path) => path.includes("_test."))).toEqual([]);
  // What a module reads beside its code.
  for (const path of ["data/cifar-convnet/model.json", "data/cifar-convnet/weights.bin"]) expect(files).toContain(path);
  const wasm = files.filter((path) => path.endsWith(".wasm") || path.endsWith(".wgsl"));
  expect(wasm).toEqual(expect.arrayContaining(["lib/embed/kernels/kernels.wasm", "lib/embed/tsne/descent.wgsl"]));
}, 120_000);
