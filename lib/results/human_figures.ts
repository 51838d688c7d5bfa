/**
 * Tables and pictures of a comparison of people with a network.
 *
 * @module
 */

import { TILE } from "../data/sample.ts";
import type { Matrix, Row, Sheet, Table } from "../figure/blocks.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { fixed, percent } from "../format.ts";
import type { CategoryRow, ComparedImage, HumanGroup, PeopleAgreement, PersonRow } from "./human_rows.ts";
import { chanceText, intervalText } from "./pair_accuracy.ts";

/** Published top-5 errors with 1,000 classes: Russakovsky et al. 2015, §6.4. */
const PUBLISHED = [
  { judge: "published: annotator A1", images: 1500, top5: 0.051 },
  { judge: "published: GoogLeNet, A1's images", images: 1500, top5: 0.068 },
  { judge: "published: annotator A2", images: 258, top5: 0.12 },
];
/** With so few classes five labels are always enough. */
export const FEW = 5;

const right = (title: string) => ({ title, align: "right" as const });
// Without a sign in between, so that no line is broken.
const range = (low: number, high: number) => Number.isFinite(low) ? `${fixed(100 * low, 1)} to ${percent(high)}` : "–";

const between = (low: number | null, high: number | null) =>
  low === null ? "–" : `${fixed(low, 2)} to ${fixed(high, 2)}`;

/** The errors of each person, of the network on the same images, and the published ones. */
export function errorsTable(rows: readonly PersonRow[], { model, classes }: { model: string; classes: number }): Table {
  const five = classes > FEW;
  const line = (judge: string, images: number, one: string[], five_: string[], seconds: string) => [
    judge,
    images.toLocaleString("en-US"),
    ...one,
    ...five ? five_ : [],
    seconds,
  ];
  return {
    kind: "table",
    heading: "Errors",
    columns: [
      { title: "" },
      right("images"),
      right("top-1 error"),
      right("95 %"),
      ...five ? [right("top-5 error"), right("95 %")] : [],
      right("seconds an image"),
    ],
    rows: [
      ...rows.flatMap((row) => [
        line(
          row.person,
          row.images,
          [percent(row.top1Error), range(row.top1Low, row.top1High)],
          [percent(row.top5Error), range(row.top5Low, row.top5High)],
          row.seconds > 0 ? fixed(row.seconds, 1) : "–",
        ),
        line(
          rows.length > 1 ? `${model}, ${row.person}'s images` : `${model}, the same images`,
          row.images,
          [percent(row.networkTop1Error), range(row.networkTop1Low, row.networkTop1High)],
          [percent(row.networkTop5Error), range(row.networkTop5Low, row.networkTop5High)],
          "",
        ),
      ]),
      ...five ? PUBLISHED.map(({ judge, images, top5 }) => line(judge, images, ["", ""], [percent(top5), ""], "")) : [],
    ],
  };
}

/** Whether the difference may be chance, and how far answers and errors agree; of one person beside the four counts. */
export function testsRow(rows: readonly PersonRow[], model: string): Row {
  const table: Table = {
    kind: "table",
    heading: "Person and network",
    columns: [
      { title: "" },
      right("errs more by"),
      right("95 %"),
      right("p"),
      right("same answer"),
      right("kappa"),
      right("95 %"),
      right("error consistency"),
      right("95 %"),
    ],
    rows: rows.map((row) => [
      row.person,
      percent(row.difference),
      range(row.differenceLow, row.differenceHigh),
      chanceText(row.p),
      percent(row.same),
      fixed(row.kappa, 2),
      between(row.kappaLow, row.kappaHigh),
      fixed(row.errorConsistency, 2),
      between(row.errorConsistencyLow, row.errorConsistencyHigh),
    ]),
  };
  return { kind: "row", columns: 1, blocks: rows.length === 1 ? [table, counts(rows[0], model)] : [table] };
}

/** How many images both, one or none has right. */
function counts(row: PersonRow, model: string): Matrix {
  const { person, images, bothRight, onlyHumanWrong, onlyNetworkWrong, bothWrong } = row;
  const cell = (count: number, alike: boolean, words: string) => ({
    count,
    share: count / images,
    right: alike,
    words: `${words}: ${count} of ${images}`,
  });
  return {
    kind: "matrix",
    corner: "images",
    rows: [`${person} right`, `${person} wrong`],
    columns: [`${model} right`, `${model} wrong`],
    cells: [
      [cell(bothRight, true, "both right"), cell(onlyNetworkWrong, false, `only ${model} wrong`)],
      [cell(onlyHumanWrong, false, `only ${person} wrong`), cell(bothWrong, true, "both wrong")],
    ],
    sides: [],
  };
}

/** People among themselves. */
export function betweenTable(between: readonly PeopleAgreement[]): Table {
  const two = (value: number) => fixed(value, 2);
  return {
    kind: "table",
    heading: "People among themselves",
    columns: [
      { title: "" },
      right("images"),
      right("same answer"),
      right("95 %"),
      right("kappa"),
      right("95 %"),
      right("error consistency"),
      right("95 %"),
    ],
    rows: between.map(({ a, b, images, same, kappa, errorConsistency }) => [
      `${a} and ${b}`,
      String(images),
      percent(same.value),
      range(same.low, same.high),
      fixed(kappa.value, 2),
      intervalText(kappa, two),
      fixed(errorConsistency.value, 2),
      intervalText(errorConsistency, two),
    ]),
  };
}

const GROUPS: readonly HumanGroup[] = ["only human wrong", "only network wrong", "both wrong", "both right"];

/** The images of each group. @param who who is compared with the network */
export function groupSheets(
  images: readonly ComparedImage[],
  { who, model, most }: { who: string; model: string; most: number },
): Sheet[] {
  if (most === 0) return [];
  const words: Record<HumanGroup, string> = {
    "only human wrong": `Only ${who} wrong`,
    "only network wrong": `Only ${model} wrong`,
    "both wrong": "Both wrong",
    "both right": "Both right",
  };
  const found = GROUPS.map((group) => ({ group, own: images.filter((image) => image.group === group) }))
    .filter(({ own }) => own.length > 0);
  return found.map(({ group, own }, i) => ({
    kind: "sheet",
    heading: `${words[group]} (${own.length})`,
    note: i > 0
      ? ""
      : `Below each image its class, then what ${who === "people" ? "one of the people" : who} says, then ${model}.`,
    side: TILE,
    tiles: own.slice(0, most).map((image) => tileOf(image, model)),
    left: Math.max(0, own.length - most),
  }));
}

function tileOf(
  { id, truth, network, people, humanRight, image, categories }: ComparedImage,
  model: string,
): Sheet["tiles"][number] {
  const is = truth.join(" or ");
  // One of those who put the image where it is.
  const { person, labels: [said] } = people.find((one) => one.right === humanRight) ?? people[0];
  return {
    pixels: pixelsOf(image),
    lines: [is, said, network[0], ...categories.length ? [`[${categories.join(", ")}]`] : []],
    words: [
      id,
      `class: ${is}`,
      ...people.map(({ person, labels, seconds }) => `${person}: ${labels.join(", ")} (${fixed(seconds, 1)} s)`),
      `${model}: ${network.join(", ")}`,
    ].join("\n"),
    alt: `${id}, ${is}: ${person} says ${said}, ${model} ${network[0]}`,
  };
}

/** What kinds of errors there are. */
export function categoryTable(rows: readonly CategoryRow[], model: string): Table {
  const share = (value: number | null, low: number | null, high: number | null) =>
    value === null ? ["–", ""] : [percent(value), range(low!, high!)];
  return {
    kind: "table",
    heading: "Kinds of errors",
    note: "Of each kind its share of all errors. An image may be of several kinds.",
    columns: [
      { title: "" },
      right("images"),
      right("errors of people"),
      right("share"),
      right("95 %"),
      right(`errors of ${model}`),
      right("share"),
      right("95 %"),
    ],
    rows: rows.map((row) => [
      row.category,
      String(row.images),
      String(row.humanErrors),
      ...share(row.humanShare, row.humanLow, row.humanHigh),
      String(row.networkErrors),
      ...share(row.networkShare, row.networkLow, row.networkHigh),
    ]),
  };
}
