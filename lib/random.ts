/**
 * Random numbers that depend on nothing but their key: no hidden state has to be saved for a run to resume.
 *
 * @module
 */

/** Mixes a 32-bit word (the finaliser of MurmurHash3). */
function mix(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}

/** One 32-bit word for a key of whole numbers. */
function hash(key: readonly number[], salt: number): number {
  let word = mix(salt);
  for (const part of key) {
    word = mix(word ^ (part | 0));
    // Whole numbers beyond 32 bits differ in their upper half.
    word = mix((Math.imul(word, 5) + 0xe6546b64) ^ Math.floor(part / 2 ** 32));
  }
  return word;
}

/**
 * A stream of numbers in [0, 1) for a key of whole numbers, as `(seed, epoch, image)`: the same on every machine, and
 * unrelated to the stream of any other key. (Doty-Humphrey's sfc32, started from the key's hash.)
 */
export function randomStream(...key: number[]): () => number {
  let a = hash(key, 1);
  let b = hash(key, 2);
  let c = hash(key, 3);
  let count = 1;
  const next = () => {
    const sum = (((a + b) | 0) + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** The whole numbers from 0 to `count − 1` in a random order (Fisher and Yates). */
export function shuffled(count: number, random: () => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/**
 * A stream of numbers of mean 0 and deviation 1 for a key of whole numbers, the same on every machine (Marsaglia's polar
 * method).
 */
export function normalStream(...key: number[]): () => number {
  const random = randomStream(...key);
  let spare: number | null = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    let x: number;
    let y: number;
    let square: number;
    do {
      x = 2 * random() - 1;
      y = 2 * random() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const length = Math.sqrt(-2 * Math.log(square) / square);
    spare = y * length;
    return x * length;
  };
}
