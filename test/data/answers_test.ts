import { expect, onTestFinished, test, vi } from "vitest";
import { AnswerFile, answerLines, answersPath, type HumanAnswer, readAnswers } from "../../lib/data/answers.ts";
import { longTest } from "../long.ts";

const answer = (image: string, more: Partial<HumanAnswer> = {}): HumanAnswer => ({
  trial: "t",
  person: "Ada",
  image,
  phase: "test",
  shown: "2026-11-30T12:00:00.000Z",
  seconds: 3.5,
  labels: ["cat", "dog"],
  ...more,
});

async function withFolder(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/answers.jsonl`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

test("what was added is read, and an image is answered once by each person", () =>
  withFolder(async (path) => {
    const file = new AnswerFile(path);
    expect(file.add(answer("a"))).toBe(true);
    expect(file.add(answer("a", { labels: ["dog"] }))).toBe(false);
    expect(file.add(answer("a", { person: "Åsa \n 😀" }))).toBe(true);
    expect(file.add(answer("b", { phase: "training", truth: "dog" }))).toBe(true);
    // Another one that writes to the same file knows it too.
    expect(new AnswerFile(path).add(answer("b"))).toBe(false);
    const expected = [
      answer("a"),
      answer("a", { person: "Åsa \n 😀" }),
      answer("b", { phase: "training", truth: "dog" }),
    ];
    expect(file.read()).toEqual(expected);
    expect(await readAnswers(path)).toEqual(expected);
    expect(await Deno.readTextFile(path)).toBe(answerLines(expected));
  }));

test("a last line that is torn anywhere is read as missing, and the next answer takes its place", () =>
  withFolder(async (path) => {
    const whole = answerLines([answer("ä")]);
    const next = answerLines([answer("ö", { labels: ["Bär"] })]);
    const bytes = new TextEncoder().encode(next);
    for (const length of [1, 2, 20, bytes.length - 12, bytes.length - 2]) {
      await Deno.writeTextFile(path, whole);
      await Deno.writeFile(path, bytes.slice(0, length), { append: true });
      expect(await readAnswers(path), `${length} bytes`).toEqual([answer("ä")]);
      expect(new AnswerFile(path).add(answer("c"))).toBe(true);
      expect(await readAnswers(path)).toEqual([answer("ä"), answer("c")]);
    }
    // Of the end of the line alone nothing depends on it.
    await Deno.writeTextFile(path, whole.trimEnd());
    new AnswerFile(path).add(answer("c"));
    expect(await Deno.readTextFile(path)).toBe(answerLines([answer("ä"), answer("c")]));
  }));

test("a line before the last that is no answer is named", () =>
  withFolder(async (path) => {
    const bad = {
      '{"trial":': /JSON/,
      "[]": /an array/,
      [JSON.stringify({ ...answer("a"), labels: [] })]: /its labels is an array/,
      [JSON.stringify({ ...answer("a"), labels: ["cat", "cat"] })]: /its labels/,
      [JSON.stringify({ ...answer("a"), seconds: -1 })]: /its seconds is -1/,
      [JSON.stringify({ ...answer("a"), shown: "yesterday" })]: /its shown is "yesterday"/,
      [JSON.stringify({ ...answer("a"), phase: "exam" })]: /its phase is "exam"/,
    };
    for (const [line, reason] of Object.entries(bad)) {
      await Deno.writeTextFile(path, `${answerLines([answer("a")])}${line}\n${answerLines([answer("b")])}`);
      await expect(readAnswers(path)).rejects.toThrow(/^Line 2 of .*answers\.jsonl is no answer of a trial/);
      await expect(readAnswers(path)).rejects.toThrow(reason);
    }
  }));

test("a disk without locks is written all the same; a lock that fails otherwise is an error", () =>
  withFolder(async (path) => {
    const file = new AnswerFile(path);
    const locked = vi.spyOn(Deno.FsFile.prototype, "lockSync");
    onTestFinished(() => locked.mockRestore());
    locked.mockImplementation(() => {
      throw Object.assign(new Error("Function not implemented (os error 38)"), { code: "ENOSYS" });
    });
    expect(file.add(answer("a"))).toBe(true);
    locked.mockImplementation(() => {
      throw Object.assign(new Error("Bad file descriptor (os error 9)"), { code: "EBADF" });
    });
    expect(() => file.add(answer("b"))).toThrow("Bad file descriptor");
    expect(await readAnswers(path)).toEqual([answer("a")]);
  }));

test("no file is no answers; a folder that is not there is an error at once", async () => {
  expect(await readAnswers("/tmp/no-such-answers.jsonl")).toEqual([]);
  expect(() => new AnswerFile("/tmp/no-such-folder/answers.jsonl")).toThrow(Deno.errors.NotFound);
});

test("the file of a data set is named after it", () => {
  expect(["CIFAR-10 test", "../../etc", "Bäume & Häuser!", "//"].map(answersPath)).toEqual([
    "answers-CIFAR-10-test.jsonl",
    "answers-etc.jsonl",
    "answers-Bäume-Häuser.jsonl",
    "answers-images.jsonl",
  ]);
});

longTest("two processes that write at a time lose and mix nothing", () =>
  withFolder(async (path) => {
    const count = 60;
    const code = `
      import { AnswerFile } from ${JSON.stringify(new URL("../../lib/data/answers.ts", import.meta.url).href)};
      const file = new AnswerFile(${JSON.stringify(path)});
      let added = 0;
      for (let i = 0; i < ${count}; i++) added += file.add({ ...${JSON.stringify(answer(""))}, image: String(i) });
      console.log(added);`;
    const write = () => new Deno.Command(Deno.execPath(), { args: ["eval", code], stderr: "inherit" }).output();
    const written = await Promise.all([write(), write(), write()]);
    const added = written.map(({ stdout }) => Number(new TextDecoder().decode(stdout)));
    expect(added.reduce((a, b) => a + b)).toBe(count);
    expect((await readAnswers(path)).map(({ image }) => image)).toEqual(
      Array.from({ length: count }, (_, i) => String(i)),
    );
  }));
