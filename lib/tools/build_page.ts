/**
 * `deno task page`: bundles what runs in the reader's browser from `lib/page/` to `lib/page/bundle.json`, one script an
 * entry. The same sources make the same bytes on every machine. With `--check` nothing is written, and it fails if the
 * bundle is not what its sources make.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** The bundle that is committed. */
export const BUNDLE: URL = new URL("../page/bundle.json", import.meta.url);

/** The scripts: of each the module, and the function that it exports to start it. */
export const ENTRIES = {
  hover: { module: "./hover.ts", start: "startHover" },
  controls: { module: "./controls.ts", start: "startControls" },
  grid: { module: "./grid.ts", start: "startGrids" },
  map: { module: "./map.ts", start: "startMaps" },
  likeness: { module: "./likeness.ts", start: "startLikeness" },
  stop: { module: "./stop.ts", start: "startStopButtons" },
  taxonomy: { module: "./taxonomy.ts", start: "startTaxonomies" },
  trial: { module: "./trial.ts", start: "startTrials" },
} as const;

/** What is used of esbuild. */
interface Bundler {
  build(options: Record<string, unknown>): Promise<{ outputFiles: { text: string }[] }>;
  stop(): Promise<void>;
}

/**
 * Bundles every script.
 *
 * @param folder the sources
 * @returns the text of `bundle.json`
 * @throws {Error} with the bundler's words, if the sources cannot be bundled; if a script would end its own element
 */
export async function bundlePage(folder: URL = new URL("../page/", import.meta.url)): Promise<string> {
  const ESBUILD = "npm:esbuild@0.28.2";
  const esbuild = await import(ESBUILD) as Bundler;
  const scripts: Record<string, string> = {};
  try {
    for (const [name, { module, start }] of Object.entries(ENTRIES)) {
      const { outputFiles } = await esbuild.build({
        stdin: {
          contents: `import { ${start} } from "${module}"; ${start}();`,
          resolveDir: fileURLToPath(folder),
          loader: "ts",
        },
        bundle: true,
        write: false,
        format: "iife",
        minify: true,
        target: "es2022",
        charset: "utf8",
        logLevel: "silent",
      });
      const script = outputFiles[0].text.trim();
      if (/<\/script|<!--/i.test(script)) {
        throw new Error(`The script ${name} holds "</script" or "<!--", which would end its element in a page.`);
      }
      scripts[name] = script;
    }
  } finally {
    await esbuild.stop();
  }
  return JSON.stringify(scripts, null, 2) + "\n";
}

if (import.meta.main) {
  const made = await bundlePage();
  if (Deno.args.includes("--check")) {
    const equal = made === await Deno.readTextFile(BUNDLE);
    console.log(`page: the bundle is ${equal ? "" : "not "}what the sources make`);
    if (!equal) Deno.exitCode = 1;
  } else {
    await Deno.writeTextFile(BUNDLE, made);
    console.log(`page: ${made.length} characters`);
  }
}
