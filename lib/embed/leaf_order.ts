/**
 * Things in a line, those beside each other that are alike: the leaves of a tree of clusters.
 *
 * @module
 */

/** A cluster: its leaves in their order. */
type Leaves = readonly number[];

/**
 * Clusters things by the mean likeness between all members of two clusters (average linkage, UPGMA: Sokal and Michener 1958),
 * found by chains of nearest neighbours (Murtagh 1983), and gives the leaves of the tree. Where two clusters join, each is
 * turned so that those ends meet that are most alike.
 *
 * @param count how many things there are
 * @param likeness of two of them, the same both ways round
 * @returns their places, each once
 */
export function leafOrder(count: number, likeness: (a: number, b: number) => number): number[] {
  const alike = new Float64Array(count * count);
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < a; b++) alike[a * count + b] = alike[b * count + a] = likeness(a, b);
  }
  const leaf = alike.slice();
  const clusters = new Map<number, Leaves>(Array.from({ length: count }, (_, i) => [i, [i]]));
  const chain: number[] = [];
  while (clusters.size > 1) {
    if (chain.length === 0) chain.push(clusters.keys().next().value!);
    const last = chain.at(-1)!;
    // The one before in the chain comes first, so that equal ones do not lead round in a circle.
    let best = chain.at(-2) ?? -1;
    for (const other of clusters.keys()) {
      if (other !== last && (best < 0 || alike[last * count + other] > alike[last * count + best])) best = other;
    }
    if (best !== chain.at(-2)) {
      chain.push(best);
      continue;
    }
    chain.splice(-2);
    const [a, b] = [Math.min(last, best), Math.max(last, best)];
    const [own, others] = [clusters.get(a)!, clusters.get(b)!];
    for (const c of clusters.keys()) {
      if (c === a || c === b) continue;
      const mean = (own.length * alike[a * count + c] + others.length * alike[b * count + c]) /
        (own.length + others.length);
      alike[a * count + c] = alike[c * count + a] = mean;
    }
    clusters.set(a, joined(own, others, (x, y) => leaf[x * count + y]));
    clusters.delete(b);
  }
  return [...clusters.values()].flat();
}

/** Two clusters beside each other, turned so that the ends that meet are most alike. */
function joined(a: Leaves, b: Leaves, likeness: (x: number, y: number) => number): Leaves {
  const ways = [[a, b], [a, b.toReversed()], [a.toReversed(), b], [a.toReversed(), b.toReversed()]] as const;
  const [first, second] = ways.reduce((best, way) =>
    likeness(way[0].at(-1)!, way[1][0]) > likeness(best[0].at(-1)!, best[1][0]) ? way : best
  );
  return [...first, ...second];
}
