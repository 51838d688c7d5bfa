/**
 * What runs in each Worker of a crew.
 *
 * @module
 */

import { descend, type DescentJob, type DescentNews } from "../tsne/descent.ts";
import { instantiate } from "./kernels.ts";
import { search, type SearchJob } from "../search.ts";
import { settle, type SettleJob, type SettleNews } from "../tsne/settle.ts";
import { Ended, Team } from "./team.ts";

/** What a Worker is told first. */
interface Start {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  thread: number;
  threads: number;
}

/** What a crew can do. */
export type Job = DescentJob | SearchJob | SettleJob;

/** What a Worker answers. */
export type Message = { kind: "done" } | DescentNews | { kind: "searched"; count: number } | SettleNews;

/** The Worker's side of `postMessage`, which the types of a page do not know. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent) => void;
  postMessage(message: Message): void;
};

let team: Promise<Team>;

scope.onmessage = async ({ data }: MessageEvent<Start | Job>) => {
  if ("module" in data) {
    const { module, memory, thread, threads } = data;
    team = instantiate(module, memory).then((kernels) => new Team(kernels, memory, thread, threads));
    return;
  }
  const tell = (message: Message) => scope.postMessage(message);
  try {
    if (data.kind === "descend") descend(await team, data, tell);
    else if (data.kind === "settle") settle(await team, data, tell);
    else search(await team, data, tell);
  } catch (error) {
    // Nobody waits for it any more.
    if (error instanceof Ended) return;
    throw error;
  }
  tell({ kind: "done" });
};
