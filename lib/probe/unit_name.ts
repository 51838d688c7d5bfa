/**
 * What a unit may be called, by rules over the patches that excite it most: each rule is a measure and a threshold, and a
 * unit that none fits is "unnamed".
 *
 * The steps from edges over textures and parts to objects are those that Zeiler and Fergus (2013) saw in their plates, and
 * that Bau et al., "Network Dissection" (2017), counted with labels of pixels. Here there are only labels of images, so
 * that a part is told from an object by how much of the image the unit sees. The numbers were chosen here; how often the
 * rules fit units whose patches are dealt out at random says what they are worth.
 *
 * @module
 */

import { chromaOf, commonDirection, hueName, type Oriented, type PatchLook, turn } from "./patch_look.ts";

/** What a unit looks for, in one word. */
export type UnitKind = "edge" | "colour" | "texture" | "part" | "object" | "unnamed";

/** All kinds, from the simplest on. */
export const UNIT_KINDS: readonly UnitKind[] = ["edge", "colour", "texture", "part", "object", "unnamed"];

/** The thresholds of the rules. */
export const THRESHOLDS = {
  /** Fewer patches than this say nothing. */
  patches: 4,
  /** An edge: the patches' lines run one way, `direction` of at least this … */
  direction: 0.5,
  /** … and in the first layer so do the filter's, no more degrees away than this. */
  turn: 22.5,
  /** The filter's own lines. */
  filter: 0.3,
  /** Lines that repeat more often than this over the patch are stripes, a texture. */
  stripes: 1.5,
  /** A colour: the patches' mean colours are as far from grey as this on average … */
  chroma: 0.12,
  /** … and of one hue: their mean is as strong as this share of it. */
  hue: 0.85,
  /** A texture: as many waves over the patch at least … */
  cycles: 2,
  /** … spread so evenly over its quarters … */
  evenness: 0.75,
  /** … and with spectra that are as much nearer to each other than to those of other units' patches. */
  likeness: 0.4,
  /** Textures are looked for in patches of at least so many pixels a side. */
  side: 8,
  /** A part or an object: this share of the patches is of images of one label … */
  purity: 2 / 3,
  /** … which chance gives with no more than this probability, … */
  chance: 0.001,
  /** … and the unit sees this share of the image (parts), or that (objects). */
  part: 0.05,
  object: 0.5,
} as const;

/** What is known of a unit's strongest patches. */
export interface UnitEvidence {
  readonly looks: readonly PatchLook[];
  /** The label of each patch's image, where it has one. */
  readonly labels: readonly (string | undefined)[];
  /** The share of the image that the unit sees, 0…1. */
  readonly seen: number;
  /** The direction of the unit's own filter, where it reads the image's pixels. */
  readonly filter?: Oriented;
}

/** What the rules are measured against: the same for all units of a layer. */
export interface LayerEvidence {
  /** The mean distance of the spectra of any two patches of the layer. */
  readonly distance: number;
  /** Of each label its share among all images. */
  readonly shares: ReadonlyMap<string, number>;
}

/** A name with the numbers that it was given by. */
export interface UnitName {
  readonly kind: UnitKind;
  /** As `"edge −45°"`, `"colour green"`, `"part of frog"`; `"unnamed"`. */
  readonly name: string;
  /** What other rules fit, too. */
  readonly also: readonly string[];
  /** How much the lines of all patches run one way, and which: 0 to 1, and in degrees. */
  readonly direction: number;
  readonly angle: number;
  /** The same of the unit's own filter; null where it does not read pixels. */
  readonly filterDirection: number | null;
  readonly filterAngle: number | null;
  /** How far the patches' mean colours are from grey, 0…1, and how much they are of one hue, 0…1. */
  readonly chroma: number;
  readonly hue: number;
  /** How many waves fit into a patch, how evenly its edges are spread, how alike the spectra of the patches are. */
  readonly cycles: number;
  readonly evenness: number;
  readonly likeness: number;
  /** The most frequent label among the patches, and its share; null without labels. */
  readonly label: string | null;
  readonly purity: number | null;
  /** The probability that some label is as frequent among as many images drawn at random. */
  readonly chance: number | null;
}

const meanOf = (values: readonly number[]): number =>
  values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : 0;

const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.hypot(...a.map((value, i) => value - b[i]));

/** The mean distance of the spectra of any two patches. */
export function spectrumDistance(looks: readonly PatchLook[]): number {
  let [sum, pairs] = [0, 0];
  for (let i = 0; i < looks.length; i++) {
    for (let j = 0; j < i; j++) {
      sum += distance(looks[i].spectrum, looks[j].spectrum);
      pairs++;
    }
  }
  return pairs ? sum / pairs : 0;
}

/** The probability of at least `hits` in `draws`, each with probability `share`. */
export function binomialTail(hits: number, draws: number, share: number): number {
  let sum = 0;
  let ways = 1;
  for (let k = 0; k <= draws; k++) {
    if (k > 0) ways *= (draws - k + 1) / k;
    if (k >= hits) sum += ways * share ** k * (1 - share) ** (draws - k);
  }
  return Math.min(1, sum);
}

/** The label that most patches have: of equally frequent ones the one that is the rarer among all images. */
function commonLabel(labels: readonly (string | undefined)[], shares: ReadonlyMap<string, number>) {
  const counts = new Map<string, number>();
  for (const label of labels) if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
  const shareOf = (label: string) => shares.get(label) ?? 0;
  const [best] = [...counts].sort(([a, m], [b, n]) => n - m || shareOf(a) - shareOf(b) || (a < b ? -1 : 1));
  if (!best) return { label: null, purity: null, chance: null };
  const [label, count] = best;
  // Any of the labels might have been the one.
  const chance = [...shares.values()].reduce((sum, share) => sum + binomialTail(count, labels.length, share), 0);
  return { label, purity: count / labels.length, chance: Math.min(1, chance) };
}

/** A direction in words: the nearest of four. */
function directionName(angle: number): string {
  if (turn(angle, 0) <= 22.5) return "horizontal";
  if (turn(angle, 90) <= 22.5) return "vertical";
  return turn(angle, 45) <= 22.5 ? "+45°" : "−45°";
}

/** Names a unit by the rules: of those that fit, the one of the highest step. */
export function nameUnit({ looks, labels, seen, filter }: UnitEvidence, layer: LayerEvidence): UnitName {
  const limit = THRESHOLDS;
  const { coherence: direction, angle } = commonDirection(looks);
  const chromas = looks.map(({ color }) => chromaOf(color));
  const chroma = meanOf(chromas.map((vector) => Math.hypot(...vector)));
  const mean = [0, 1].map((axis) => meanOf(chromas.map((vector) => vector[axis])));
  const hue = chroma > 0 ? Math.hypot(...mean) / chroma : 0;
  const cycles = meanOf(looks.map((look) => look.cycles));
  const evenness = meanOf(looks.map((look) => look.evenness));
  const likeness = layer.distance > 0 ? 1 - spectrumDistance(looks) / layer.distance : 0;
  const common = commonLabel(labels, layer.shares);
  const isLarge = looks.every(({ side }) => Math.min(...side) >= limit.side);
  const agrees = !filter || (filter.coherence >= limit.filter && turn(filter.angle, angle) <= limit.turn);
  const isOriented = direction >= limit.direction && agrees;

  const found: { kind: UnitKind; name: string }[] = [];
  if (common.purity! >= limit.purity && common.chance! <= limit.chance && seen >= limit.part) {
    const isObject = seen >= limit.object;
    found.push({ kind: isObject ? "object" : "part", name: `${isObject ? "object" : "part"} of ${common.label}` });
  }
  if (isOriented && !(isLarge && cycles > limit.stripes)) {
    found.push({ kind: "edge", name: `edge ${directionName(angle)}` });
  }
  if (isOriented && isLarge && cycles > limit.stripes) {
    found.push({ kind: "texture", name: `stripes ${directionName(angle)}` });
  }
  if (chroma >= limit.chroma && hue >= limit.hue) found.push({ kind: "colour", name: `colour ${hueName(mean)}` });
  if (
    !isOriented && isLarge && cycles >= limit.cycles && evenness >= limit.evenness && likeness >= limit.likeness
  ) found.push({ kind: "texture", name: "texture" });

  const [first, ...more] = looks.length >= limit.patches ? found : [];
  return {
    kind: first?.kind ?? "unnamed",
    name: first?.name ?? "unnamed",
    also: more.map(({ name }) => name),
    direction,
    angle,
    filterDirection: filter?.coherence ?? null,
    filterAngle: filter?.angle ?? null,
    chroma,
    hue,
    cycles,
    evenness,
    likeness,
    ...common,
  };
}
