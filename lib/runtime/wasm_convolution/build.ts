/**
 * Compiles the convolutions from AssemblyScript to WebAssembly: `kernels.as` to `kernels.wasm`. The same source makes
 * the same bytes on every machine.
 *
 * Run as a program it writes the binary; with `--check` it fails if the one that is there is not what the source makes.
 *
 * @module
 */

const source = new URL("./kernels.as", import.meta.url);
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
export async function compileConvolutions(): Promise<Uint8Array> {
  const ASSEMBLYSCRIPT = "npm:assemblyscript@0.28.20/asc";
  const { main } = await import(ASSEMBLYSCRIPT) as Compiler;
  const text = await Deno.readTextFile(source);
  let made: Uint8Array | undefined;
  const { error, stderr } = await main([
    // The compiler asks for .ts; another ending keeps Deno from reading a dialect that it does not speak.
    "kernels.ts",
    "--outFile=kernels.wasm",
    "-O3",
    "--noAssert",
    "--runtime=stub",
    "--use=abort=",
    "--importMemory",
    "--initialMemory=1",
    "--enable=simd,relaxed-simd",
  ], {
    readFile: (name) => name === "kernels.ts" ? text : null,
    writeFile: (_, contents) => {
      made = contents;
    },
    listFiles: () => [],
  });
  if (error || !made) throw new Error(`The convolutions do not compile. ${stderr.toString()}`, { cause: error });
  return made;
}

if (import.meta.main) {
  const made = await compileConvolutions();
  if (Deno.args.includes("--check")) {
    const there = await Deno.readFile(binary);
    if (there.length !== made.length || there.some((byte, i) => byte !== made[i])) {
      console.error("kernels.wasm is not what kernels.as makes: run this program without --check.");
      Deno.exit(1);
    }
  } else {
    await Deno.writeFile(binary, made);
  }
}
