import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Line } from "./harness.ts";
import { type BenchRecord, changes, lastOf, recorded, recordOf, save, told } from "./record.ts";

const lines: Line[] = [
  { name: "walk", median: 100, unit: "ms", runs: 3 },
  { name: "images", median: 50, unit: "per second" },
  { name: "beside a peer", median: 80, unit: "ms", ratio: 1 },
  { name: "images", median: 40, unit: "per second", ratio: 0.8 },
  { name: "KL divergence", median: 2.7, unit: "" },
];
const of = (some: Line[], date = "2026-12-01", backend = "wasm"): BenchRecord => ({
  ...recordOf(backend),
  date,
  lines: some.map((line) => recorded("scan", "patches", line)),
});

let folder: string;
beforeEach(() => void (folder = Deno.makeTempDirSync()));
afterEach(() => Deno.removeSync(folder, { recursive: true }));

describe("records", () => {
  test("a day's benchmarks add up, and one that runs again replaces itself", () => {
    const first = of(lines);
    const path = save(first, `${folder}/new`);
    const other = { ...of([lines[0]]), lines: [recorded("map", "grid", lines[0])] };
    expect(save(other, `${folder}/new`)).toBe(path);
    expect(save(of([{ ...lines[0], median: 90 }]), `${folder}/new`)).toBe(path);
    const kept: BenchRecord = JSON.parse(Deno.readTextFileSync(path));
    expect(kept.lines.map(({ suite, median }) => [suite, median])).toEqual([["map", 100], ["scan", 90]]);
    expect(kept.lines[0]).not.toHaveProperty("runs");
    expect(path).toContain("_2026-12-01.json");
  });

  test("the last one of each benchmark counts, of the same backend", () => {
    expect(lastOf(of(lines), `${folder}/none`)).toEqual([]);
    save(of(lines, "2026-11-01"), folder);
    save(of([{ ...lines[0], median: 70 }], "2026-11-05"), folder);
    save(of([{ ...lines[0], median: 1 }], "2026-11-09", "tensorflow"), folder);
    expect(lastOf(of([]), folder).map(({ median, date }) => [median, date])).toEqual([[70, "2026-11-05"]]);
  });

  test("a damaged file is named", () => {
    const path = save(of(lines), folder);
    Deno.writeTextFileSync(path, "{");
    expect(() => lastOf(of(lines), folder)).toThrow(path);
  });
});

describe("changes", () => {
  test("slower is a longer time, a lower rate, and a worse ratio where there are ratios", () => {
    save(of(lines, "2026-11-01"), folder);
    const now = of([
      { ...lines[0], median: 150 },
      { ...lines[1], median: 100 },
      { ...lines[2], median: 800, ratio: 1.05 },
      { ...lines[3], median: 400, ratio: 0.4 },
      { ...lines[4], median: 9 },
      { name: "new", median: 1, unit: "ms" },
    ]);
    const all = changes(lastOf(now, folder), now.lines);
    expect(all.map(({ name, factor }) => [name.split(" / ")[2], Number(factor.toFixed(3))])).toEqual([
      ["images (2)", 2],
      ["walk", 1.5],
      ["beside a peer", 1.05],
      ["images", 0.5],
    ]);
    const text = told(all, now.lines.length).split("\n");
    expect(text[0]).toBe("4 of 6 lines have a record of this machine: 2 slower, 1 faster, 1 within 1.1×.");
    expect(text[2]).toMatch(/^ {2}2\.00× scan \/ patches \/ images \(2\): 0\.80× on 2026-11-01, now 0\.40×/);
    expect(text[3]).toMatch(/^ {2}1\.50× .*walk: 100 ms on 2026-11-01, now 150 ms/);
    expect(text[5]).toMatch(/^ {2}0\.50× .*images: 50 \/s on/);
  });

  test("without a record nothing is said to have changed", () => {
    const now = of(lines);
    expect(told(changes(lastOf(now, folder), now.lines), 5)).toMatch(/^0 of 5 lines have a record .* 0 slower/);
  });
});
