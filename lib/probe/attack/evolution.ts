/**
 * Pictures bred until a model is sure of them, without any gradient.
 *
 * Nguyen, Yosinski and Clune 2015, "Deep Neural Networks are Easily Fooled: High Confidence Predictions for Unrecognizable
 * Images", §2.2 and §2.3: of each class the picture that the model gives it to most surely is kept (MAP-Elites), and children
 * of these take their places. A picture is encoded by its pixels, or by a network that paints it ({@link cppn.ts}).
 *
 * @module
 */

import { sizeOf } from "../../array.ts";
import { normalStream, randomStream } from "../../random.ts";
import { type Cppn, mutatedCppn, newCppn, paintCppn, type Random } from "./cppn.ts";

/** How a picture is encoded: by its pixels, or by a network that paints it. */
export type Encoding = "direct" | "cppn";

/** What is bred. */
export interface EvolutionOptions {
  encoding: Encoding;
  /** The class whose picture is wanted. */
  target: number;
  /** At how much it is sure enough. */
  enough: number;
  /** How many children at most, and how many are looked at together. */
  children: number;
  batchSize: number;
  seed: number;
  signal?: AbortSignal;
  /** Called after each generation with the children so far. */
  onProgress?: (done: number, total: number) => void;
}

/** What came of it. */
export interface Evolved {
  /** The first of all pictures, and the surest, of whole numbers 0…255. */
  start: Float32Array;
  pixels: Float32Array;
  /** How sure the model is of the best picture after each generation; the first is that of the first pictures. */
  history: number[];
  /** How many children were looked at. */
  children: number;
}

/** What makes and changes a genome of one encoding, and pictures of it. */
interface Genetics<Genome> {
  create(random: Random): Genome;
  mutate(parent: Genome, random: Random, generation: number): Genome;
  paint(genome: Genome): Float32Array;
}

/** Deb's polynomial mutation: the larger, the nearer children lie. */
const STRENGTH = 15;
/** The share of the pixels that change; it is halved after so many generations. */
const SHARE = 0.1;
const HALVED_AFTER = 1000;

/** A value moved within 0…255 by Deb's polynomial mutation (Deb 2001, §4.6.2), of which the ends are within reach. */
function moved(value: number, u: number): number {
  const power = 1 / (STRENGTH + 1);
  const [below, above] = [value / 255, 1 - value / 255];
  const by = u < 0.5
    ? (2 * u + (1 - 2 * u) * (1 - below) ** (STRENGTH + 1)) ** power - 1
    : 1 - (2 * (1 - u) + 2 * (u - 0.5) * (1 - above) ** (STRENGTH + 1)) ** power;
  return Math.min(255, Math.max(0, Math.round(value + 255 * by)));
}

function direct(shape: readonly number[]): Genetics<Float32Array> {
  return {
    create: ({ uniform }) => Float32Array.from({ length: sizeOf(shape) }, () => Math.floor(256 * uniform())),
    mutate(parent, { uniform }, generation) {
      const share = SHARE * 0.5 ** Math.floor(generation / HALVED_AFTER);
      return parent.map((value) => uniform() < share ? moved(value, uniform()) : value);
    },
    paint: (genome) => genome,
  };
}

function painting([height, width, channels]: readonly number[]): Genetics<Cppn> {
  return {
    create: (random) => newCppn(channels, random),
    mutate: (parent, random) => mutatedCppn(parent, random),
    paint: (genome) => paintCppn(genome, height, width),
  };
}

/**
 * Breeds a picture.
 *
 * @param look says of some pictures how sure the model is of each class
 * @param shape of a picture, `[h, w, c]`
 */
export async function evolve(
  look: (pictures: readonly Float32Array[]) => Promise<readonly ArrayLike<number>[]>,
  shape: readonly number[],
  options: EvolutionOptions,
): Promise<Evolved> {
  return options.encoding === "direct"
    ? await breed(look, direct(shape), options)
    : await breed(look, painting(shape), options);
}

async function breed<Genome>(
  look: Parameters<typeof evolve>[0],
  { create, mutate, paint }: Genetics<Genome>,
  { target, enough, children, batchSize, seed, signal, onProgress }: EvolutionOptions,
): Promise<Evolved> {
  const random: Random = { uniform: randomStream(seed, 1), normal: normalStream(seed, 2) };
  /** Of each class the genome that the model is surest of. */
  const elites: { genome: Genome; sure: number }[] = [];
  const meet = async (genomes: readonly Genome[]) => {
    const seen = await look(genomes.map(paint));
    genomes.forEach((genome, i) => {
      for (let k = 0; k < seen[i].length; k++) {
        if (!elites[k] || seen[i][k] > elites[k].sure) elites[k] = { genome, sure: seen[i][k] };
      }
    });
    history.push(elites[target].sure);
  };
  const history: number[] = [];
  signal?.throwIfAborted();
  const first = Array.from({ length: batchSize }, () => create(random));
  await meet(first);
  let done = 0;
  for (let generation = 0; done < children && elites[target].sure < enough; generation++) {
    signal?.throwIfAborted();
    const brood = Array.from({ length: Math.min(batchSize, children - done) }, () => {
      // Every other parent is what is good for another class: it may be a step on the way.
      const parent = random.uniform() < 0.5 ? elites[target] : elites[Math.floor(random.uniform() * elites.length)];
      return mutate(parent.genome, random, generation);
    });
    await meet(brood);
    done += brood.length;
    onProgress?.(done, children);
  }
  return { start: paint(first[0]), pixels: paint(elites[target].genome), history, children: done };
}
