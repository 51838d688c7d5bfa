/**
 * `deno task kernels`: compiles the hot loops from AssemblyScript to WebAssembly. The same sources make the same bytes on
 * every machine. With `--check` nothing is written, and it fails if a binary is not what its sources make.
 *
 * @module
 */

/** A binary and the folder of its sources; `kernels.as` is the first that is read. */
interface Kernels {
  sources: URL;
  /** A `.wasm` file, or a `.ts` file that exports it as text, for what cannot wait until a file is read. */
  binary: URL;
  options: readonly string[];
}

export const KERNELS = {
  /** Convolutions, on TensorFlow.js's own memory. */
  convolution: {
    sources: new URL("../runtime/wasm_convolution/", import.meta.url),
    binary: new URL("../runtime/wasm_convolution/kernels.wasm", import.meta.url),
    options: ["--enable=simd,relaxed-simd"],
  },
  /** Neighbours and t-SNE, on memory that Workers share. */
  embedding: {
    sources: new URL("../embed/kernels/", import.meta.url),
    binary: new URL("../embed/kernels/kernels.wasm", import.meta.url),
    options: ["--enable=simd,relaxed-simd,threads", "--sharedMemory", "--maximumMemory=65536"],
  },
  /** Resizing of images, with the same bits on every processor. */
  resizing: {
    sources: new URL("../resize/", import.meta.url),
    binary: new URL("../resize/kernels.ts", import.meta.url),
    options: ["--enable=simd"],
  },
} as const satisfies Record<string, Kernels>;

interface Compiler {
  main(args: string[], options: {
    readFile(name: string): string | null;
    writeFile(name: string, contents: Uint8Array): void;
    listFiles(): string[];
  }): Promise<{ error: Error | null; stderr: { toString(): string } }>;
}

/** The file of a binary, as it is committed. */
export function fileOf({ binary }: Pick<Kernels, "binary">, made: Uint8Array): Uint8Array {
  if (binary.pathname.endsWith(".wasm")) return made;
  const lines = made.toBase64().match(/.{1,110}/g)!.map((line) => `  "${line}"`);
  return new TextEncoder().encode(
    `/**\n * The kernels of \`kernels.as\`, compiled by \`deno task kernels\`.\n *\n * @module\n */\n\n` +
      `/** WebAssembly, in base 64. */\nexport const KERNELS: string = // deno-fmt-ignore\n${lines.join(" +\n")};\n`,
  );
}

/**
 * Compiles one set of kernels.
 *
 * @throws {Error} with the compiler's words, if they do not compile
 */
export async function compile({ sources: folder, options }: Kernels): Promise<Uint8Array> {
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
    "--initialMemory=1",
    ...options,
  ], {
    readFile: (name) => sources.get(name) ?? null,
    writeFile: (_, contents) => {
      made = contents;
    },
    listFiles: () => [],
  });
  if (error || !made) throw new Error(`${folder.pathname} does not compile. ${stderr.toString()}`, { cause: error });
  return made;
}

if (import.meta.main) {
  for (const [name, kernels] of Object.entries<Kernels>(KERNELS)) {
    const made = fileOf(kernels, await compile(kernels));
    if (!Deno.args.includes("--check")) {
      await Deno.writeFile(kernels.binary, made);
      console.log(`${name}: ${made.length} bytes`);
      continue;
    }
    const there = await Deno.readFile(kernels.binary);
    const equal = there.length === made.length && there.every((byte, i) => byte === made[i]);
    console.log(`${name}: the binary is ${equal ? "" : "not "}what the sources make`);
    if (!equal) Deno.exitCode = 1;
  }
}
