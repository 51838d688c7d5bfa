/**
 * `deno task doctor`: reports which backends work here, which one `auto` takes, and why not the others.
 *
 * @module
 */

import { doctor } from "../runtime/backend.ts";

console.log(String(await doctor()));
