/**
 * Numbers that look random and are the same for the same seed.
 *
 * @module
 */

/** Evenly spread over 0 … 1 (mulberry32). */
export function uniforms(seed: number): () => number {
  if (!Number.isInteger(seed)) throw new RangeError(`seed must be a whole number: received ${seed}.`);
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Of the standard normal distribution (Box and Muller 1958). */
export function normals(seed: number): () => number {
  const uniform = uniforms(seed);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
