/**
 * Compiles the kernels from AssemblyScript to WebAssembly: `kernels/*.as` to `kernels.wasm`. The same sources make the
 * same bytes on every machine.
 *
 * `deno task kernels` writes the binary; `deno task kernels --check` fails if the one that is there is not what the
 * sources make.
 *
 * @module
 */

const folder = new URL("./kernels/", import.meta.url);
const binary = new URL("./kernels.wasm", import.meta.url);

interface Compiler {
  main(args: string[], options: {
    readFile(name: string): string | null;
    writeFile(name: string, contents: Uint8Array): void;
    listFiles(): string[];
  }): Promise<{ error: Error | null; stderr: { toString(): string } }>;
}

/**
 * Compiles the kernels.
 *
 * @throws {Error} with the compiler's words, if they do not compile
 */
export async function compileKernels(): Promise<Uint8Array> {
  const ASSEMBLYSCRIPT = "npm:assemblyscript@0.28.20/asc";
  const { main } = await import(ASSEMBLYSCRIPT) as Compiler;
  const sources = new Map<string, string>();
  for await (const { name } of Deno.readDir(folder)) {
    // The compiler asks for .ts; another ending keeps Deno from reading a dialect that it does not speak.
    if (name.endsWith(".as")) sources.set(name.replace(/as$/, "ts"), await Deno.readTextFile(new URL(name, folder)));
  }
  let made: Uint8Array | undefined;
  const { error, stderr } = await main([
    "kernels.ts",
    "--outFile=kernels.wasm",
    "-O3",
    "--noAssert",
    "--runtime=stub",
    "--use=abort=",
    "--importMemory",
    "--sharedMemory",
    "--initialMemory=1",
    "--maximumMemory=65536",
    "--enable=simd,relaxed-simd,threads",
  ], {
    readFile: (name) => sources.get(name) ?? null,
    writeFile: (_, contents) => {
      made = contents;
    },
    listFiles: () => [],
  });
  if (error || !made) throw new Error(`The kernels do not compile. ${stderr.toString()}`, { cause: error });
  return made;
}

if (import.meta.main) {
  const made = await compileKernels();
  if (Deno.args.includes("--check")) {
    const there = await Deno.readFile(binary);
    const equal = there.length === made.length && there.every((byte, i) => byte === made[i]);
    console.log(equal ? "kernels.wasm is what the sources make." : "kernels.wasm is not what the sources make.");
    if (!equal) Deno.exit(1);
  } else {
    await Deno.writeFile(binary, made);
    console.log(`kernels.wasm: ${made.length} bytes`);
  }
}
