/** What several models are called in one figure. @module */

import type { Model } from "../../model/model.ts";

/** The names of models, told apart where several have one. */
export function namesOf(models: readonly Model[]): string[] {
  return models.map(({ name }, i) => {
    const same = models.filter((other) => other.name === name).length > 1;
    return same ? `${name} (${models.slice(0, i + 1).filter((other) => other.name === name).length})` : name;
  });
}
