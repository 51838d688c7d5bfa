/**
 * What runs in each Worker: it imports the modules that it is asked for, calls their functions and sends the answers.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { type Answer, type Call, Moved, type Report } from "./protocol.ts";

/** The side of a Worker that the types of a main thread do not know. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent<Call>) => void;
  postMessage(answer: Answer, transfer?: Transferable[]): void;
};

/** What a module exports. */
type Functions = Record<string, (argument: unknown, report: Report<unknown>) => unknown>;

/** Fulfilled when the function of the latest call has begun, so that functions begin in the order of their calls. */
let begun: Promise<unknown> = Promise.resolve();

scope.onmessage = ({ data: { id, module, name, argument } }) => {
  const imported = begun.then(() => import(module) as Promise<Functions>);
  const result = imported.then((functions) =>
    functions[name](argument, (progress, transfer) => scope.postMessage({ id, progress }, transfer))
  );
  begun = imported.catch(() => {});
  result.then((result) => {
    if (result instanceof Moved) scope.postMessage({ id, result: result.value }, result.transfer);
    else scope.postMessage({ id, result });
  }).catch((error) => scope.postMessage({ id, failure: messageOf(error) }));
};
