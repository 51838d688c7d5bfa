/**
 * What the doc comments of the public face say, read by `deno doc`.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";

/** What `deno doc --json` (its version 2) says of a type. */
export interface Type {
  kind: string;
  repr?: string;
  // deno-lint-ignore no-explicit-any -- each kind has a value of its own
  value?: any;
}

export interface Param {
  kind: string;
  name?: string;
  optional?: boolean;
  left?: Param;
  arg?: Param;
  tsType?: Type;
}

export interface Signature {
  params: readonly Param[];
  returnType?: Type;
  tsType?: Type;
  hasBody?: boolean;
  jsDoc?: Doc;
}

export interface Doc {
  doc?: string;
  tags?: readonly { kind: string; doc?: string; value?: string }[];
}

export interface Member {
  name: string;
  kind?: string;
  optional?: boolean;
  isStatic?: boolean;
  accessibility?: string;
  tsType?: Type;
  functionDef?: Signature;
  params?: readonly Param[];
  returnType?: Type;
  jsDoc?: Doc;
}

export interface Declaration {
  kind: string;
  location: { filename: string };
  jsDoc?: Doc;
  def: Partial<Signature> & {
    extends?: string | readonly Type[];
    constructors?: readonly Signature[];
    properties?: readonly Member[];
    methods?: readonly Member[];
    callSignatures?: readonly Signature[];
    typeParams?: readonly { name: string; default?: Type }[];
  };
}

export type Names = ReadonlyMap<string, readonly Declaration[]>;

let names: Names | undefined;

/** The public names and what is said of them. */
export function publicNames(): Names {
  if (names) return names;
  const source = new URL("../../../mod.ts", import.meta.url).href;
  const remedy = `Ask \`deno doc ${source}\` in a terminal.`;
  let text: string;
  try {
    const command = new Deno.Command(Deno.execPath(), { args: ["doc", "--json", source], stderr: "piped" });
    const { success, stdout, stderr } = command.outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr).trim().split("\n").at(-1));
    text = new TextDecoder().decode(stdout);
  } catch (error) {
    throw new Error(`help asks \`deno doc\`, which failed: ${messageOf(error)}. ${remedy}`, { cause: error });
  }
  const { nodes } = JSON.parse(text) as {
    nodes: Record<string, { symbols?: { name: string; declarations: Declaration[] }[] }>;
  };
  const symbols = Object.values(nodes)[0]?.symbols;
  if (!symbols) throw new Error(`help does not know the form in which this Deno's \`deno doc\` answers. ${remedy}`);
  return names = new Map(symbols.map(({ name, declarations }) => [name, declarations]));
}

/** A type as it is written. */
export function typeText(type: Type | undefined, known: ReadonlyMap<string, string> = new Map()): string {
  if (!type) return "";
  const { kind, value, repr = "" } = type;
  const text = (inner: Type) => typeText(inner, known);
  const within = (inner: Type) =>
    /union|intersection|typeOperator|fnOr/.test(inner.kind) ? `(${text(inner)})` : text(inner);
  switch (kind) {
    case "typeRef": {
      const { typeName, typeParams } = value;
      return (known.get(typeName) ?? typeName) + (typeParams?.length ? `<${typeParams.map(text).join(", ")}>` : "");
    }
    case "union":
      return value.map(text).join(" | ");
    case "intersection":
      return value.map(text).join(" & ");
    case "array":
      return `${within(value)}[]`;
    case "tuple":
      return `[${value.map(text).join(", ")}]`;
    case "optional":
      return `${text(value)}?`;
    case "rest":
      return `...${text(value)}`;
    case "typeOperator":
      return `${value.operator} ${text(value.tsType)}`;
    case "parenthesized":
      return `(${text(value)})`;
    case "literal":
      return value.kind === "string" ? JSON.stringify(value.string) : repr;
    case "indexedAccess":
      return `${text(value.objType)}[${text(value.indexType)}]`;
    case "fnOrConstructor":
      return `(${paramsText(value.params, known)}) => ${text(value.tsType)}`;
    case "typeLiteral":
      return `{ ${
        (value.properties as Member[]).map(({ name, optional, tsType }) =>
          `${name}${optional ? "?" : ""}: ${typeText(tsType, known)}`
        ).join("; ")
      } }`;
    default:
      return repr || kind;
  }
}

export function paramsText(params: readonly Param[], known?: ReadonlyMap<string, string>): string {
  return params.map((param) => {
    const { name, optional, tsType } = param.left ?? param.arg ?? param;
    const rest = param.arg ? "..." : "";
    return `${rest}${name ?? "options"}${optional || param.left ? "?" : ""}: ${
      typeText(tsType ?? param.tsType, known)
    }`;
  }).join(", ");
}

export const signatureText = (
  name: string,
  { params, returnType, tsType }: Signature,
  known?: ReadonlyMap<string, string>,
) => `${name}(${paramsText(params, known)}): ${typeText(returnType ?? tsType, known) || "void"}`;

/** Words of a doc comment, as they are read: links are names. */
export const wordsOf = (doc = "") =>
  doc.trim().replace(/\{@link(?:code)?\s+([^}|]+?)(?:\s*\|[^}]*)?\}/g, "`$1`").replace(/(?<!\n)\n(?!\n)/g, " ");

export const tagged = ({ tags = [] }: Doc = {}, name: string) =>
  tags.flatMap(({ kind, doc, value = "" }) =>
    kind === name ? [doc ?? ""] : value.startsWith(`@${name}`) ? [value.slice(name.length + 1).trim()] : []
  );
