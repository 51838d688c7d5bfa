/**
 * Results that nobody waited for: in a cell their promises say so, where the kernel would print `Promise { <pending> }`
 * and a property would be undefined.
 *
 * @module
 */

const inspectSymbol = Symbol.for("Deno.customInspect");

const REMEDY = "write await before the call, as in (await saliency(model, image)).map";

/** What results have and promises have not. */
const OF_RESULTS = ["rows", "table", "figure", "save", "layers", "points", "maps", "map", "values", "image"];

/**
 * From now on a promise prints a note that it was not awaited, as the last value of a cell and by `console.log`;
 * and to ask a promise for what only a result has is an error that says so. Nothing else changes. This is for the kernel,
 * where code is the user's own: there no type checker finds a missing `await`.
 */
export function explainPromises(prototype: object = Promise.prototype): void {
  const inspected = {
    configurable: true,
    writable: true,
    value(this: object, inspect: typeof Deno.inspect, options: Deno.InspectOptions): string {
      // Without this it prints as ever. What has ended meanwhile was not awaited either.
      Reflect.deleteProperty(prototype, inspectSymbol);
      try {
        return `${inspect(this, options)} (not awaited: ${REMEDY})`;
      } finally {
        Object.defineProperty(prototype, inspectSymbol, inspected);
      }
    },
  };
  Object.defineProperty(prototype, inspectSymbol, inspected);
  for (const name of OF_RESULTS) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(): never {
        throw new TypeError(`This is a promise of a result and has no ${name} itself: ${REMEDY}.`);
      },
      set(this: object, value: unknown) {
        Object.defineProperty(this, name, { value, configurable: true, enumerable: true, writable: true });
      },
    });
  }
}
