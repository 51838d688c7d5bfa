/**
 * The classes of a model as a tree to browse.
 *
 * @module
 */

import { byCodeUnit } from "../../data/dataset.ts";
import { kindOf, unknownName } from "../../errors.ts";
import type { TrialBranch } from "../../results/human_trial.ts";

/** Classes in groups, and groups in groups, as `{ animals: { pets: ["cat", "dog"], birds: ["wren"] }, cars: ["truck"] }`. */
export interface ClassTree {
  /** A group by its name: its classes, or its own groups. */
  readonly [group: string]: readonly string[] | ClassTree;
}

/** More classes than this are grouped by their first letters. */
const FLAT = 40;
/** @throws {TypeError} if it is no tree. @throws {RangeError} if a class in it is none, or is in it twice */
function branchOf(name: string, tree: unknown, classes: readonly string[], left: Set<string>): TrialBranch {
  if (Array.isArray(tree)) {
    for (const one of tree) {
      if (typeof one !== "string" || !classes.includes(one)) {
        throw unknownName("class", String(one), classes, "the model, and the tree names it");
      }
      if (!left.delete(one)) throw new RangeError(`The tree holds the class ${kindOf(one)} twice. Leave one out.`);
    }
    return { name, branches: [], classes: tree };
  }
  if (kindOf(tree) !== "an object") {
    throw new TypeError(`The group ${kindOf(name)} of the tree must hold classes or groups: received ${kindOf(tree)}.`);
  }
  const branches = Object.entries(tree as ClassTree).map(([name, inner]) => branchOf(name, inner, classes, left));
  return { name, branches, classes: [] };
}

/** Capitals or not; in an order that does not depend on the machine's language. */
const byName = (a: string, b: string): number => byCodeUnit(a.toLowerCase(), b.toLowerCase());

/** The tree that the page shows. */
export function treeOf(tree: ClassTree | undefined, classes: readonly string[]): TrialBranch {
  if (tree) {
    const left = new Set(classes);
    const root = branchOf("", tree, classes, left);
    if (left.size > 0) root.branches.push({ name: "others", branches: [], classes: [...left] });
    return root;
  }
  if (classes.length <= FLAT) return { name: "", branches: [], classes: [...classes] };
  const initial = (name: string) => name.trim().charAt(0).toUpperCase();
  const groups = [...Map.groupBy(classes, initial)].sort(([a], [b]) => byCodeUnit(a, b));
  return {
    name: "",
    branches: groups.map(([name, own]) => ({ name, branches: [], classes: own.sort(byName) })),
    classes: [],
  };
}
