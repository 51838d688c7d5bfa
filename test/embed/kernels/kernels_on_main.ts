/** The kernels in this thread, on a memory of their own. */

import { BINARY, type KernelMember, type Kernels } from "../../../lib/embed/kernels/kernels.ts";
import type { Layout } from "../../../lib/workers/layout.ts";
import { GroupMember } from "../../../lib/workers/member.ts";

export async function alone(
  layout: Layout,
): Promise<{ kernels: Kernels; member: KernelMember; buffer: ArrayBufferLike }> {
  const bytes = await Deno.readFile(BINARY);
  const module = await WebAssembly.compile(bytes);
  const pages = Math.ceil(layout.bytes / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  const kernels = exports as unknown as Kernels;
  return { kernels, member: new GroupMember(kernels, memory, 0, 1), buffer: memory.buffer };
}
