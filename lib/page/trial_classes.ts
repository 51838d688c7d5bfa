/**
 * The classes that a person chooses among: found by typing, or browsed as a tree.
 *
 * @module
 */

import type { TrialBranch } from "./data.ts";

/** A line of the list: a class, or a branch with how many classes hang on it. */
export interface ClassRow {
  name: string;
  /** How deep it hangs in the tree. */
  depth: number;
  /** Of a branch: its way from the root. */
  path?: string;
  classes?: number;
  open?: boolean;
}

/** More lines than this are not drawn. */
export const MOST_ROWS = 200;

/** A name without accents and capitals. */
const plain = (name: string) => name.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/**
 * The classes whose names hold all that was typed: first those that begin with it, then those of which a word does, in the
 * order of the model.
 */
export function matchesOf(classes: readonly string[], typed: string): string[] {
  const words = plain(typed).split(/\s+/).filter(Boolean);
  const whole = words.join(" ");
  const rank = (name: string) =>
    name === whole ? 0 : name.startsWith(whole) ? 1 : ` ${name}`.includes(` ${whole}`) ? 2 : 3;
  return classes
    .map((name) => ({ name, text: plain(name).replace(/[^\p{L}\p{N}]+/gu, " ") }))
    .filter(({ name, text }) => words.every((word) => text.includes(word) || plain(name).includes(word)))
    .map(({ name, text }) => ({ name, rank: rank(text) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ name }) => name);
}

const sizeOf = ({ branches, classes }: TrialBranch): number =>
  branches.reduce((sum, branch) => sum + sizeOf(branch), classes.length);

/** The lines of a tree of which some branches, named by their ways, are open. */
export function treeRows(tree: TrialBranch, open: ReadonlySet<string>, way = "", depth = 0): ClassRow[] {
  const branches = tree.branches.flatMap((branch) => {
    const path = `${way}/${branch.name}`;
    const isOpen = open.has(path);
    const row = { name: branch.name, depth, path, classes: sizeOf(branch), open: isOpen };
    return [row, ...isOpen ? treeRows(branch, open, path, depth + 1) : []];
  });
  return [...branches, ...tree.classes.map((name) => ({ name, depth }))];
}

/** The branches above a class, from the root down. */
export function wayTo(tree: TrialBranch, name: string): string[] | null {
  if (tree.classes.includes(name)) return [];
  for (const branch of tree.branches) {
    const way = wayTo(branch, name);
    if (way) return [branch.name, ...way];
  }
  return null;
}
