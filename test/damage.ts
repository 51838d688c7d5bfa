/** Damage to files, for tests of what reads them. */

/** Changes some bytes: flips, gaps, doubled and zeroed parts, cuts and additions. */
export function mutated(good: Uint8Array, random: () => number): Uint8Array<ArrayBuffer> {
  const at = () => Math.floor(random() * good.length);
  const bytes = good.slice();
  const [from, length] = [at(), 1 + Math.floor(random() * 64)];
  switch (Math.floor(random() * 7)) {
    case 0:
      for (let i = 0; i < 3; i++) bytes[at()] ^= 1 + Math.floor(random() * 255);
      return bytes;
    case 1: // One bit, near the beginning.
      bytes[Math.floor(random() * 2000)] ^= 1 << Math.floor(random() * 8);
      return bytes;
    case 2:
      return good.slice(0, from);
    case 3:
      return bytes.fill(0, from, from + length);
    case 4:
      return Uint8Array.of(...good.subarray(0, from), ...good.subarray(from + length));
    case 5:
      return Uint8Array.of(...good.subarray(0, from), ...good.subarray(Math.max(0, from - length)));
    default:
      return Uint8Array.of(...good, ...good.subarray(0, length));
  }
}
