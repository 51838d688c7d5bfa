import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { notebookText, parseNotebook } from "../../lib/tools/notebook.ts";
import { convert, labIsReady } from "./nbconvert.ts";
import { eighty, EIGHTY_WORDS, firstWords } from "./samples.ts";
import { long } from "../long.ts";

const ready = await labIsReady();
const RUNS = long(2, 1);

let folder: string;
beforeAll(async () => {
  folder = await Deno.makeTempDir();
});
afterAll(() => Deno.remove(folder, { recursive: true }));

describe.skipIf(!ready)("nbconvert --execute", () => {
  test.each(Array.from({ length: RUNS }, (_, i) => i + 1))(
    "keeps 80 of 80 outputs, small and of 5 MB, each under its own cell: run %i",
    async (run) => {
      const path = `${folder}/run-${run}.ipynb`;
      await Deno.writeTextFile(path, notebookText(eighty()));
      await convert("--to", "notebook", "--execute", "--inplace", "--ExecutePreprocessor.timeout=60", path);
      const executed = parseNotebook(await Deno.readTextFile(path), path);
      expect(firstWords(executed)).toEqual(EIGHTY_WORDS);
    },
  );
});
