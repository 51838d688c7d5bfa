/**
 * Compositional pattern-producing networks: small networks that paint a picture, a colour from each pixel's place.
 *
 * Stanley 2007, "Compositional pattern producing networks: A novel abstraction of development"; they grow as in NEAT
 * (Stanley and Miikkulainen 2002): from links between inputs and outputs alone, a node or a link at a time. Nguyen, Yosinski
 * and Clune 2015, §2.3, evolve fooling images with them.
 *
 * @module
 */

/** What a node makes of the sum of what comes in. */
const FUNCTIONS: Record<string, (x: number) => number> = {
  sine: Math.sin,
  gaussian: (x) => Math.exp(-x * x / 2),
  sigmoid: (x) => 2 / (1 + Math.exp(-x)) - 1,
  linear: (x) => Math.max(-3, Math.min(3, x)),
  absolute: (x) => Math.min(3, Math.abs(x)),
};
const NAMES = Object.keys(FUNCTIONS);

/** What goes in: row and column, the distance from the middle, and 1. */
const INPUTS = 4;

/** A link from one node to a later one. */
interface Link {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

/** A network that paints: its nodes stand in the order in which they run, inputs first, outputs last. */
export interface Cppn {
  /** What each node computes; of inputs `"input"`. */
  readonly nodes: readonly string[];
  readonly links: readonly Link[];
  /** How many outputs there are: the channels of the picture. */
  readonly channels: number;
}

/** Uniform numbers, and normal ones, of one stream. */
export interface Random {
  uniform(): number;
  normal(): number;
}

const pick = <Item>(items: readonly Item[], { uniform }: Random): Item => items[Math.floor(uniform() * items.length)];

/** How often each change is made. */
const CHANGES = { weight: 0.6, spread: 0.7, link: 0.35, node: 0.3, kind: 0.15 };

/** A network without hidden nodes: each output is linked to all inputs. */
export function newCppn(channels: number, random: Random): Cppn {
  const nodes = [...new Array(INPUTS).fill("input"), ...Array.from({ length: channels }, () => pick(NAMES, random))];
  const links = Array.from({ length: channels }, (_, c) => c + INPUTS).flatMap((to) =>
    Array.from({ length: INPUTS }, (_, from) => ({ from, to, weight: 2 * random.normal() }))
  );
  return { nodes, links, channels };
}

/** The same network with a node in the middle of one of its links. */
function withNode({ nodes, links, channels }: Cppn, random: Random): Cppn {
  const split = pick(links, random);
  // Behind what it reads, and before all that reads it.
  const at = Math.max(split.from + 1, INPUTS);
  if (at > split.to) return { nodes, links, channels };
  const moved = (node: number) => node >= at ? node + 1 : node;
  return {
    nodes: nodes.toSpliced(at, 0, pick(NAMES, random)),
    links: [
      ...links.filter((link) => link !== split).map(({ from, to, weight }) => ({
        from: moved(from),
        to: moved(to),
        weight,
      })),
      { from: moved(split.from), to: at, weight: 1 },
      { from: at, to: moved(split.to), weight: split.weight },
    ],
    channels,
  };
}

/** The same network with one link more, where there is room for one. */
function withLink({ nodes, links, channels }: Cppn, random: Random): Cppn {
  const from = Math.floor(random.uniform() * (nodes.length - channels));
  const least = Math.max(INPUTS, from + 1);
  const to = least + Math.floor(random.uniform() * (nodes.length - least));
  if (links.some((link) => link.from === from && link.to === to)) return { nodes, links, channels };
  return { nodes, links: [...links, { from, to, weight: random.normal() }], channels };
}

/** A child of a network: some weights moved, now and then a link or a node more, or a node of another kind. */
export function mutatedCppn(parent: Cppn, random: Random): Cppn {
  let child = parent;
  if (random.uniform() < CHANGES.node) child = withNode(child, random);
  if (random.uniform() < CHANGES.link) child = withLink(child, random);
  if (random.uniform() < CHANGES.kind) {
    const at = INPUTS + Math.floor(random.uniform() * (child.nodes.length - INPUTS));
    child = { ...child, nodes: child.nodes.with(at, pick(NAMES, random)) };
  }
  const links = child.links.map((link) =>
    random.uniform() < CHANGES.weight ? { ...link, weight: link.weight + CHANGES.spread * random.normal() } : link
  );
  return { ...child, links };
}

/**
 * What a network paints.
 *
 * @param height of the picture, `width` likewise; places go from −1 to 1, the longer side
 * @returns `[h, w, channels]`, whole numbers 0…255
 */
export function paintCppn({ nodes, links, channels }: Cppn, height: number, width: number): Float32Array {
  const incoming = nodes.map((_, node) => links.filter(({ to }) => to === node));
  const functions = nodes.map((kind) => FUNCTIONS[kind]);
  const pixels = new Float32Array(height * width * channels);
  const values = new Float64Array(nodes.length);
  const scale = 2 / Math.max(1, Math.max(height, width) - 1);
  values[3] = 1;
  for (let y = 0, at = 0; y < height; y++) {
    values[0] = Math.PI * scale * (y - (height - 1) / 2);
    for (let x = 0; x < width; x++) {
      values[1] = Math.PI * scale * (x - (width - 1) / 2);
      values[2] = Math.hypot(values[0], values[1]);
      for (let node = INPUTS; node < nodes.length; node++) {
        let sum = 0;
        for (const { from, weight } of incoming[node]) sum += weight * values[from];
        values[node] = functions[node](sum);
      }
      for (let node = nodes.length - channels; node < nodes.length; node++) {
        pixels[at++] = Math.round(255 * Math.min(1, Math.max(0, (values[node] + 1) / 2)));
      }
    }
  }
  return pixels;
}
