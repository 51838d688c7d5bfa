/** The kernels in this thread, on a memory of their own. */

import type { Layout } from "../../../lib/embed/workers/layout.ts";
import { instantiate, type Kernels } from "../../../lib/embed/workers/kernels.ts";
import { Team } from "../../../lib/embed/workers/team.ts";

export async function alone(layout: Layout): Promise<{ kernels: Kernels; team: Team; buffer: ArrayBufferLike }> {
  const bytes = await Deno.readFile(new URL("../../../lib/embed/workers/kernels.wasm", import.meta.url));
  const module = await WebAssembly.compile(bytes);
  const pages = Math.ceil(layout.bytes / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const kernels = await instantiate(module, memory);
  return { kernels, team: new Team(kernels, memory, 0, 1), buffer: memory.buffer };
}
