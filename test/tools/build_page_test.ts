import { expect, test } from "vitest";
import scripts from "../../lib/page/bundle.json" with { type: "json" };
import { BUNDLE, bundlePage, ENTRIES } from "../../lib/tools/build_page.ts";

test("the bundle of the page is what its sources make", async () => {
  expect(await bundlePage()).toBe(await Deno.readTextFile(BUNDLE));
  expect(Object.keys(scripts)).toEqual(Object.keys(ENTRIES));
});

/** Bundles small sources, one module for each script. */
async function bundleOf(source: (start: string) => string): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    for (const { module, start } of Object.values(ENTRIES)) {
      await Deno.writeTextFile(`${folder}/${module}`, source(start));
    }
    return await bundlePage(new URL(`file://${folder}/`));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

test("a script cannot end its own element", async () => {
  const words = await bundleOf((start) => `export const ${start} = () => console.log("</script>");`);
  expect(words).not.toContain("</script");
  await expect(bundleOf((start) => `export const ${start} = () => console.log("<!-- ");`)).rejects.toThrow(
    /The script hover holds .*would end its element/,
  );
});

test("sources that cannot be bundled are reported in the bundler's words", async () => {
  await expect(bundleOf((start) => `export const ${start} = ;`)).rejects.toThrow(/Unexpected ";"/);
});
