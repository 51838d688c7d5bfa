/**
 * Plotly for pages that have no network.
 *
 * Every map carries it, compressed to 0.7 MB, since a notebook's cells may be cleared, run again or put in another
 * order, and a kernel cannot know what the saved outputs still hold. A page unpacks it once, and an exported page keeps
 * a single copy ({@linkcode onlyOnce}).
 *
 * @module
 */

import { gzipSync } from "node:zlib";

/** The bundle for points drawn by the graphics card; its licence is MIT. */
const PLOTLY = "npm:plotly.js-gl2d-dist-min@3.7.0";
const CLASS = "convlens-plotly";

let made: Promise<string> | undefined;

async function make(): Promise<string> {
  await import(`${PLOTLY}/package.json`, { with: { type: "json" } });
  const source = await Deno.readFile(new URL(import.meta.resolve(`${PLOTLY}/plotly-gl2d.min.js`)));
  return `<script type="text/plain" class="${CLASS}">${
    new Uint8Array(gzipSync(source, { level: 9 })).toBase64()
  }</script>`;
}

/** An element with Plotly's source, which a script of the page unpacks when it needs it. */
export function plotlyElement(): Promise<string> {
  return made ??= make().catch((error) => {
    made = undefined;
    throw error;
  });
}

/** A page in which only the first map carries Plotly. */
export function onlyOnce(html: string): string {
  let seen = false;
  return html.replace(
    new RegExp(`<script type="text/plain" class="${CLASS}">[^<]*</script>`, "g"),
    (element) => seen ? "" : (seen = true, element),
  );
}
