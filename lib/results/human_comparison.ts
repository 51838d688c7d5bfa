/**
 * What `compareHumans` returns: who errs more, people or the network, whether on the same images, and on which.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import { cohenKappa, errorConsistency } from "../embed/paired.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { type ErrorTile, taxonomyBlock } from "../figure/taxonomy.ts";
import { readOptions, text } from "../options.ts";
import { percent } from "../format.ts";
import {
  type CategoryRow,
  type ComparedImage,
  type HumanGroup,
  isRight,
  type JudgedAnswer,
  type PeopleAgreement,
  type PersonRow,
} from "./human_rows.ts";
import { curveOf, curvesBlock, type LearningCurve, medianOf } from "./human_curves.ts";
import { betweenTable, categoryTable, errorsTable, FEW, groupSheets, testsRow } from "./human_figures.ts";
import { pairAccuracy, shareOf } from "./pair_accuracy.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** What a comparison is made of. */
export interface HumanParts {
  readonly images: readonly Omit<ComparedImage, "group" | "humanRight" | "networkRight" | "categories">[];
  /** Answers of both phases. */
  readonly answers: readonly JudgedAnswer[];
  readonly categories: ReadonlyMap<string, readonly string[]>;
  readonly by: "top1" | "top5";
  readonly classes: number;
  readonly window: number;
  readonly examples: number;
  readonly seed: number;
  readonly repeated: number;
  readonly skipped: readonly SkippedImage[];
  readonly names: { model: string; dataset: string };
}

/** How a comparison of people and a network is drawn. */
export class HumanComparisonFigureOptions {
  /**
   * Of several people, the one whose answers make the groups.
   * @default all: an image counts as right if at least half of those who answered are
   */
  @text()
  person?: string;
}

const groupOf = (human: boolean, network: boolean): HumanGroup =>
  human ? network ? "both right" : "only network wrong" : network ? "only human wrong" : "both wrong";

/** A number, if it is one. */
const known = (value: number) => Number.isNaN(value) ? null : value;

/** Of errors so many times as many pictures are kept as of others. */
const MORE = 10;

/** People beside a network; in a cell errors, tests, curves, images by who is right, and the taxonomy to be filled in. */
export class HumanComparison extends Result<PersonRow> {
  /** One a person. */
  readonly rows: readonly PersonRow[];
  /** The images that were answered in the test, in the order of the data set. */
  readonly images: readonly ComparedImage[];
  /** People among themselves, each pair that answered the same images. */
  readonly between: readonly PeopleAgreement[];
  /** How each person's errors and times change from answer to answer. */
  readonly curves: readonly LearningCurve[];
  /** The counts of the taxonomy; empty without one. */
  readonly categories: readonly CategoryRow[];
  /** Which errors are compared. */
  readonly by: "top1" | "top5";
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #parts: HumanParts;

  /** @internal */
  constructor(parts: HumanParts) {
    super();
    const { images, answers, categories, by, seed, skipped, window } = parts;
    this.#parts = parts;
    this.by = by;
    this.skipped = skipped;
    this.images = images.map((image): ComparedImage => {
      const people = image.people.map((answer) => ({ ...answer, right: isRight(answer.labels, image.truth, by) }));
      const humanRight = 2 * people.filter(({ right }) => right).length >= people.length;
      const networkRight = isRight(image.network, image.truth, by);
      const group = groupOf(humanRight, networkRight);
      return { ...image, people, humanRight, networkRight, group, categories: categories.get(image.id) ?? [] };
    });
    const persons = [...new Set(this.images.flatMap(({ people }) => people.map(({ person }) => person)))];
    this.rows = persons.map((person) => this.#rowOf(person));
    this.between = persons.flatMap((b, i) =>
      persons.slice(0, i).flatMap((a) => {
        const found = this.#agreement(a, b, seed);
        return found ? [found] : [];
      })
    );
    this.curves = persons.map((person) =>
      curveOf(person, answers.filter((answer) => answer.person === person), { by, window })
    );
    this.categories = categories.size > 0 ? this.#categories() : [];
  }

  /** The images that a person answered, with the answer. */
  #of(person: string) {
    return this.images.flatMap((image) => {
      const answer = image.people.find((one) => one.person === person);
      return answer ? [{ image, answer }] : [];
    });
  }

  #rowOf(person: string): PersonRow {
    const { by, seed } = this.#parts;
    const own = this.#of(person);
    const wrong = (rights: readonly boolean[]) => shareOf(rights.filter((right) => !right).length, rights.length);
    const human = (kind: "top1" | "top5") => own.map(({ image, answer }) => isRight(answer.labels, image.truth, kind));
    const network = (kind: "top1" | "top5") => own.map(({ image }) => isRight(image.network, image.truth, kind));
    const [top1, top5, network1, network5] = [human("top1"), human("top5"), network("top1"), network("top5")].map(
      wrong,
    );
    const pair = pairAccuracy(human(by), network(by), seed);
    const first = [own.map(({ answer }) => answer.labels[0]), own.map(({ image }) => image.network[0])];
    const kappa = cohenKappa(first[0], first[1]);
    // A larger accuracy is a smaller error.
    const { difference, errorConsistency: consistency } = pair;
    return {
      person,
      images: own.length,
      seconds: medianOf(own.map(({ answer }) => answer.seconds)),
      top1Error: top1.value,
      top1Low: top1.low,
      top1High: top1.high,
      top5Error: top5.value,
      top5Low: top5.low,
      top5High: top5.high,
      networkTop1Error: network1.value,
      networkTop1Low: network1.low,
      networkTop1High: network1.high,
      networkTop5Error: network5.value,
      networkTop5Low: network5.low,
      networkTop5High: network5.high,
      difference: 0 - difference.value,
      differenceLow: 0 - difference.high,
      differenceHigh: 0 - difference.low,
      ...pair.mcnemar,
      same: first[0].filter((label, i) => label === first[1][i]).length / own.length,
      kappa: known(kappa.value),
      kappaLow: known(kappa.low),
      kappaHigh: known(kappa.high),
      errorConsistency: known(consistency.value),
      errorConsistencyLow: known(consistency.low),
      errorConsistencyHigh: known(consistency.high),
      bothRight: pair.both,
      onlyHumanWrong: pair.onlyB,
      onlyNetworkWrong: pair.onlyA,
      bothWrong: pair.neither,
    };
  }

  #agreement(a: string, b: string, seed: number): PeopleAgreement | null {
    const found = this.images.flatMap(({ people }) => {
      const [one, other] = [a, b].map((name) => people.find(({ person }) => person === name));
      return one && other ? [[one, other]] : [];
    });
    if (found.length === 0) return null;
    const [first, second] = [0, 1].map((i) => found.map((pair) => pair[i]));
    const labels = [first, second].map((answers) => answers.map((answer) => answer.labels[0]));
    const same = labels[0].filter((label, i) => label === labels[1][i]).length;
    return {
      a,
      b,
      images: found.length,
      same: shareOf(same, found.length),
      kappa: cohenKappa(labels[0], labels[1]),
      errorConsistency: errorConsistency(first.map(({ right }) => right!), second.map(({ right }) => right!), seed, 3),
    };
  }

  #categories(): CategoryRow[] {
    const names = [...new Set(this.images.flatMap(({ categories }) => categories))];
    const errorsOf = (images: readonly ComparedImage[]) =>
      images.flatMap(({ people }) => people).filter(({ right }) => !right).length;
    const wrong = this.images.filter(({ networkRight }) => !networkRight).length;
    const all = errorsOf(this.images);
    const row = (category: string, images: readonly ComparedImage[]): CategoryRow => {
      const humanErrors = errorsOf(images);
      const networkErrors = images.filter(({ networkRight }) => !networkRight).length;
      const none = { value: null, low: null, high: null };
      const human = all ? shareOf(humanErrors, all) : none;
      const network = wrong ? shareOf(networkErrors, wrong) : none;
      return {
        category,
        images: images.length,
        humanErrors,
        humanShare: human.value,
        humanLow: human.low,
        humanHigh: human.high,
        networkErrors,
        networkShare: network.value,
        networkLow: network.low,
        networkHigh: network.high,
      };
    };
    const rows = names.map((name) => row(name, this.images.filter(({ categories }) => categories.includes(name))));
    rows.sort((a, b) => b.humanErrors + b.networkErrors - a.humanErrors - a.networkErrors);
    const none = this.images.filter(({ categories }) => categories.length === 0);
    return [...rows, ...none.length ? [row("none", none)] : []];
  }

  /**
   * Errors of both with the published ones beside, tests, how people change from answer to answer, the images in four groups, and
   * errors to be sorted by kind.
   *
   * @throws {RangeError} if there is no such person
   */
  override figure(options: Partial<HumanComparisonFigureOptions> = {}): Figure {
    const { person } = readOptions("figure", HumanComparisonFigureOptions, options);
    const { rows, by, images } = this;
    const { names: { model, dataset }, classes, repeated, window } = this.#parts;
    const names = rows.map((row) => row.person);
    if (person !== undefined && !names.includes(person)) {
      throw new RangeError(
        `There is no answer of ${JSON.stringify(person)}: those who answered are ${names.join(", ")}.`,
      );
    }
    const shown = this.#shown(person);
    const who = person ?? (names.length === 1 ? names[0] : "people");
    const error = by === "top1" ? "top-1 error (the first label is wrong)" : "top-5 error (no label is right)";
    return new Figure({
      title: `${
        names.length > 3 ? `${names.length} people` : names.join(", ")
      } and ${model} · ${images.length} images of ${dataset}`,
      caption: [
        "Each person beside the network on the same images; intervals of 95 % (Wilson).",
        classes > FEW ? "Published: Russakovsky et al. 2015, §6.4, on other images, with 1,000 classes." : "",
        `Tests, groups and curves are about the ${error}. The difference has the interval of the paired bootstrap; p is McNemar's, ` +
        "exact. Error consistency: 0, errors fall on the same images as by chance; 1, always (Geirhos et al. 2020).",
        names.length > 1 && person === undefined
          ? "In the groups people are right about an image if at least half of those who answered are."
          : "",
        `Learning curves: the error over the last ${window} answers, fewer of few; answers for training are among them.`,
        repeated > 0 ? `${repeated} answers are second ones of a person to an image, and are left out.` : "",
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        errorsTable(rows, { model, classes }),
        testsRow(rows, model),
        ...this.between.length ? [betweenTable(this.between)] : [],
        curvesBlock(this.curves, rows, { model, by }),
        ...groupSheets(shown, { who, model, most: this.#parts.examples }),
        ...this.categories.length ? [categoryTable(this.categories, model)] : [],
        ...this.#taxonomy(shown),
      ],
    });
  }

  /** The images in their groups, by one person or by all. */
  #shown(person: string | undefined): ComparedImage[] {
    if (person === undefined) return [...this.images];
    return this.#of(person).map(({ image, answer }) => {
      const humanRight = answer.right!;
      return { ...image, people: [answer], humanRight, group: groupOf(humanRight, image.networkRight) };
    });
  }

  #taxonomy(images: readonly ComparedImage[]): Block[] {
    const { examples, names } = this.#parts;
    const wrong = images.filter(({ group }) => group !== "both right");
    if (wrong.length === 0 || examples === 0) return [];
    const tiles = wrong.slice(0, MORE * examples).map((
      { id, truth, network, people, group, categories, image, confidence },
    ): ErrorTile => ({
      id,
      group,
      picture: pixelsOf(image),
      category: categories[0] ?? "",
      words: [
        truth.join(" or "),
        ...people.slice(0, 3).map(({ person, labels }) => `${person}: ${labels.join(", ")}`),
        `${names.model}: ${network[0]} (${percent(confidence, 0)})`,
      ],
    }));
    return [taxonomyBlock(tiles, { left: wrong.length - tiles.length, key: `${names.model}\n${names.dataset}` })];
  }

  /** @internal Pictures are not among its numbers. */
  override arrays(): object {
    return {
      rows: this.rows,
      ids: this.images.map(({ id }) => id),
      human: this.images.map(({ humanRight }) => Number(humanRight)),
      network: this.images.map(({ networkRight }) => Number(networkRight)),
    };
  }
}
