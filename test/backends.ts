/** The backends that tests go through by themselves, whatever CONVLENS_BACKEND says. */

import { type BackendName, doctor } from "../lib/runtime/backend.ts";
import { ALL } from "./long.ts";

/** Those that this machine has; a plain run leaves WebGPU to CI, since it is slow where a driver in software computes. */
export async function testedBackends(): Promise<BackendName[]> {
  const { rows } = await doctor();
  return rows.filter(({ name, available }) => available && (ALL || name !== "webgpu")).map(({ name }) => name);
}

/** Whether the backend under test takes seconds for one pass of ResNet-50: fewer photos go through it then. */
export const SLOW = ["cpu", "webgpu"].includes(Deno.env.get("CONVLENS_BACKEND") ?? "");
