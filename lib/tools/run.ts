/** Runs other programs. @module */

/** How a program ended. */
export interface Ended {
  success: boolean;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end; undefined if there is no such program. */
export async function run(
  command: string,
  args: string[],
  options: { cwd?: string; signal?: AbortSignal } = {},
): Promise<Ended | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args,
      stdin: "null",
      env: { NO_COLOR: "1" },
      ...options,
    }).output();
    options.signal?.throwIfAborted();
    const text = new TextDecoder();
    return { success, stdout: text.decode(stdout).trim(), stderr: text.decode(stderr).trim() };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

/** The last lines of a program's output, where the reason is. */
export function lastLines(text: string, count = 15): string {
  return text.split("\n").slice(-count).join("\n");
}
