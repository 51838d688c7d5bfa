import { availableParallelism } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";
import { defineConfig } from "vitest/config";

const root = new URL("../", import.meta.url);

export default defineConfig({
  root: fileURLToPath(root),
  plugins: [{
    // The library is imported by Deno itself, not by Vite: tests run what users run, `npm:` specifiers and all.
    name: "library-runs-natively",
    enforce: "pre",
    resolveId(source: string, importer?: string) {
      if (!source.startsWith(".") || !importer) return;
      const url = new URL(source, pathToFileURL(importer)).href;
      const inside = url.startsWith(root.href) ? url.slice(root.href.length) : "";
      if (inside === "mod.ts" || inside.startsWith("lib/")) return { id: url, external: true };
    },
  }],
  test: {
    pool: "forks",
    // Vitest would leave one core idle, and so run file after file on two cores.
    maxWorkers: Math.min(4, availableParallelism()),
    server: { deps: { external: [/\/lib\/.*\.ts$/, /\/mod\.ts$/] } },
    setupFiles: ["test/setup.ts"],
    include: ["test/**/*_test.ts"],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // One second is the default, which a browser that paints on busy cores may need for itself.
    expect: { poll: { timeout: 60_000 } },
  },
});
