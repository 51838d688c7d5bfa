/**
 * Measuring and printing: warm up, repeat, take the median; interleave what is compared.
 *
 * Goals are printed with ✓ or ✗ and never asserted: a busy machine must not make a build fail.
 *
 * @module
 */

/** One line of the table. */
export interface Line {
  name: string;
  median: number;
  /** What nineteen runs of twenty stay below; absent where there are too few runs to tell. */
  p95?: number;
  runs?: number;
  unit: Unit;
  /** Median of the ratios to the run of the baseline beside it. */
  ratio?: number;
  /** What the ratio (where there is one) or the median should stay below; of rates, what they should reach. */
  goal?: number;
}

/** "" is a number without one. */
export type Unit = "ms" | "bytes" | "per second" | "";

/** One benchmark: everything that it measures, as lines of the table. */
export interface Benchmark {
  name: string;
  run(): Promise<Line[]>;
}

export interface MeasureOptions {
  /** Runs that count. @default 20 */
  runs?: number;
  /** Runs before those, which do not count. @default 3 */
  warmUp?: number;
}

/** The `p`-quantile of some numbers, interpolated between the two nearest. */
export function quantile(values: readonly number[], p: number): number {
  if (values.length === 0) throw new RangeError("A quantile needs at least one value: received none.");
  const sorted = values.toSorted((a, b) => a - b);
  const at = p * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/** The middle one. */
export const median = (values: readonly number[]) => quantile(values, 0.5);

async function milliseconds(task: () => unknown): Promise<number> {
  const start = performance.now();
  await task();
  return performance.now() - start;
}

/** Times one task after the other in turn, so that whatever else the machine does meanwhile meets all alike. */
export async function interleave(
  tasks: readonly (() => unknown)[],
  { runs = 20, warmUp = 3 }: MeasureOptions = {},
): Promise<number[][]> {
  const times: number[][] = tasks.map(() => []);
  for (let i = -warmUp; i < runs; i++) {
    for (const [t, task] of tasks.entries()) {
      const time = await milliseconds(task);
      if (i >= 0) times[t].push(time);
    }
  }
  return times;
}

/** A line for measured times. */
export function timing(name: string, times: readonly number[], { goal }: { goal?: number } = {}): Line {
  const p95 = times.length >= 10 ? quantile(times, 0.95) : undefined;
  return { name, median: median(times), p95, runs: times.length, unit: "ms", goal };
}

/** Measures a task by itself. */
export async function measure(
  name: string,
  task: () => unknown,
  { goal, ...options }: MeasureOptions & { goal?: number } = {},
): Promise<Line> {
  const [times] = await interleave([task], options);
  return timing(name, times, { goal });
}

/** Measures a task against a baseline, run for run: two lines, the baseline's first. */
export async function compare(
  baseline: readonly [name: string, task: () => unknown],
  subject: readonly [name: string, task: () => unknown],
  { goal, ...options }: MeasureOptions & { goal?: number } = {},
): Promise<Line[]> {
  const [base, times] = await interleave([baseline[1], subject[1]], options);
  const ratio = median(times.map((time, i) => time / base[i]));
  return [timing(baseline[0], base), { ...timing(subject[0], times), ratio, goal }];
}

const DIGITS = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A number with its unit, to three digits. */
export function quantity(value: number, unit: Unit): string {
  if (unit === "bytes") return `${WHOLE.format(value)} B`;
  if (unit === "") return value.toPrecision(4);
  if (unit === "per second") return `${DIGITS.format(value)} /s`;
  return value >= 10_000 ? `${DIGITS.format(value / 1000)} s` : `${DIGITS.format(value)} ms`;
}

/** How wide each column is: the name to the left, the rest to the right. */
const WIDTHS = [46, 12, 10, 5, 7];

function columns([name, ...cells]: string[], goal: string): string {
  const rest = cells.map((cell, i) => cell.padStart(WIDTHS[i + 1]));
  return [name.padEnd(WIDTHS[0]), ...rest, ` ${goal}`].join(" ").trimEnd();
}

/** The head of the table. */
export function head(): string {
  const titles = columns(["", "median", "p95", "runs", "ratio"], "goal");
  return `${titles}\n${"─".repeat(titles.length + 5)}`;
}

/** One line of the table as text. */
export function format({ name, median, p95, runs, unit, ratio, goal }: Line): string {
  let wanted = "";
  if (goal !== undefined) {
    const value = ratio ?? median;
    const rate = unit === "per second";
    const reached = (rate ? value >= goal : value <= goal) ? "✓" : "✗";
    wanted = `${rate ? "≥" : "≤"} ${ratio === undefined ? quantity(goal, unit) : `${goal}×`} ${reached}`;
  }
  return columns([
    `  ${name}`,
    quantity(median, unit),
    p95 === undefined ? "" : quantity(p95, unit),
    runs === undefined ? "" : String(runs),
    ratio === undefined ? "" : `${ratio.toFixed(2)}×`,
  ], wanted);
}
