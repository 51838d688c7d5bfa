/**
 * What a unit may be called, by rules over the patches that excite it most: each rule is a measure and a threshold, and a
 * unit that none fits is "unnamed".
 *
 * The steps from edges over textures and parts to objects are those that Zeiler and Fergus (2013) saw in their plates, and
 * that Bau et al., "Network Dissection" (2017), counted with labels of pixels. Here there are only labels of images, so
 * that a part is told from an object by how much of the image the unit sees. The numbers were chosen here; how often the
 * rules fit units whose patches are dealt out at random says what they are worth. On two halves of 4,000 images of CIFAR-10
 * a unit of cifar-convnet that is named on one has the same name on the other in conv1 24 times of 27, in the three layers
 * from conv2_1 to conv3_1 27 of 91, in conv3_2 39 of 58, in conv4 148 of 183. On 140 pieces of seven photos ResNet-50 has
 * names far above chance in its first layers and in activation_40 (22 % to 0 %), and not in activation_22 (73 % to 69 %),
 * where any patches of an orange cat are orange.
 *
 * @module
 */

import { percent } from "../format.ts";
import type { NamedUnit, UnitKind } from "../data/records.ts";
import { chromaOf, commonDirection, hueName, type Oriented, type PatchLook, turn } from "./patch_look.ts";

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
  /** A colour: the patches' mean colours are as far from grey as this on average … */
  chroma: 0.12,
  /** … and of one hue: their mean is as strong as this share of it. */
  hue: 0.9,
  /** Lines that repeat as often as this over the patch are stripes, and a texture has as many waves … */
  waves: 1.5,
  /** … spread so evenly over the patch's quarters … */
  evenness: 0.8,
  /** … and with spectra that are as much nearer to each other than to those of other units' patches. */
  likeness: 0.25,
  /** Textures are looked for in patches of at least so many pixels a side. */
  side: 8,
  /** A part or an object: this share of the patches is of images of one label … */
  purity: 2 / 3,
  /** … which chance gives with no more than this probability, … */
  chance: 0.001,
  /** … and the unit sees this share of the image (parts), or that (objects); simpler names are for units that see less. */
  part: 0.05,
  object: 0.5,
} as const;

/** The rules in words. */
export const RULES: readonly { readonly kind: UnitKind; readonly rule: string }[] = (() => {
  const { direction, turn, filter, chroma, hue, waves, evenness, likeness, side, purity, chance, part, object } =
    THRESHOLDS;
  const local = `the unit sees less than ${percent(object, 0)} of the image`;
  return [
    {
      kind: "edge",
      rule: `The patches' lines run one way: direction ≥ ${direction}. In the first layer the filter's own do, too ` +
        `(≥ ${filter}), at most ${turn}° away. And ${local}.`,
    },
    {
      kind: "colour",
      rule: `The patches' mean colours are off grey (chroma ≥ ${chroma}) and of one hue (≥ ${hue}); ${local}.`,
    },
    {
      kind: "texture",
      rule:
        `At least ${waves} waves in patches of ${side} pixels or more, which either run one way (stripes), or are spread ` +
        `evenly (≥ ${evenness}) and alike in all patches (likeness ≥ ${likeness}); ${local}.`,
    },
    {
      kind: "part",
      rule: `At least ${percent(purity, 0)} of the patches are from images of one label, which chance gives with a ` +
        `probability of ${chance} at most; the unit sees from ${percent(part, 0)} to ${
          percent(object, 0)
        } of the image.`,
    },
    { kind: "object", rule: `The same of units that see ${percent(object, 0)} of the image or more.` },
    { kind: "unnamed", rule: `None of these, or fewer than ${THRESHOLDS.patches} images that excite the unit.` },
  ];
})();

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
  // Any of the labels might have been the one (Bonferroni).
  const chance = shares.size * binomialTail(count, labels.length, shareOf(label));
  return { label, purity: count / labels.length, chance: Math.min(1, chance) };
}

/** A direction in words: the nearest of four. */
function directionName(angle: number): string {
  if (turn(angle, 0) <= 22.5) return "horizontal";
  if (turn(angle, 90) <= 22.5) return "vertical";
  return turn(angle, 45) <= 22.5 ? "+45°" : "−45°";
}

/** Names a unit by the rules: of those that fit, the one of the highest step. */
export function nameUnit({ looks, labels, seen, filter }: UnitEvidence, layer: LayerEvidence): NamedUnit {
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
  const isLocal = seen < limit.object;
  const isFine = isLarge && cycles >= limit.waves;
  const isOriented = direction >= limit.direction && agrees;

  const found: { kind: UnitKind; name: string }[] = [];
  if (common.purity! >= limit.purity && common.chance! <= limit.chance && seen >= limit.part) {
    const kind = isLocal ? "part" : "object";
    found.push({ kind, name: `${kind} of ${common.label}` });
  }
  if (isLocal && isOriented) {
    const what = isFine ? "stripes" : "edge";
    found.push({ kind: isFine ? "texture" : "edge", name: `${what} ${directionName(angle)}` });
  }
  if (isLocal && chroma >= limit.chroma && hue >= limit.hue) {
    found.push({ kind: "colour", name: `colour ${hueName(mean)}` });
  }
  if (isLocal && !isOriented && isFine && evenness >= limit.evenness && likeness >= limit.likeness) {
    found.push({ kind: "texture", name: "texture" });
  }

  const [first, ...more] = looks.length >= limit.patches ? found : [];
  return {
    kind: first?.kind ?? "unnamed",
    name: first?.name ?? "unnamed",
    also: more.map(({ name }) => name).join(", "),
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
