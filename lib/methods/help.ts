/**
 * Help in a cell, read from the doc comments and the declared options themselves: `deno doc` tells what they are.
 *
 * @module
 */

import { kindOf, unknownName } from "../errors.ts";
import { Help, type HelpEntry } from "../results/help.ts";
import {
  type Declaration,
  type Doc,
  type Member,
  type Names,
  paramsText,
  publicNames,
  type Signature,
  signatureText,
  tagged,
  type Type,
  typeText,
  wordsOf,
} from "./shared/doc_comments.ts";

const isInternal = ({ jsDoc, accessibility, name }: Member) =>
  tagged(jsDoc, "internal").length > 0 || accessibility === "private" || name.startsWith("[");

/** What a class and those that it extends declare: overloads each, what is overridden once. */
function membersOf(all: Names, name: string): Member[] {
  const found: Member[] = [];
  for (let at: string | undefined = name; at;) {
    const def: Declaration["def"] | undefined = all.get(at)?.find(({ kind }) => /class|interface/.test(kind))?.def;
    const before = new Set(found.map(({ name }) => name));
    const own = [...def?.properties ?? [], ...def?.methods ?? []];
    // What implements overloads is not called itself.
    const implementing = ({ name, functionDef }: Member) =>
      functionDef?.hasBody && own.filter((other) => other.name === name).length > 1;
    found.push(...own.filter((one) => !isInternal(one) && !before.has(one.name) && !implementing(one)));
    at = typeof def?.extends === "string" ? def.extends : def?.extends?.[0]?.value?.typeName;
  }
  return found;
}

/** An option or a member. */
function entryOf({ name, kind, tsType, functionDef, params, returnType, jsDoc }: Member): HelpEntry {
  const signature = functionDef ?? (params && { params, returnType });
  const isMethod = signature && kind !== "getter";
  // A tag on the line of the text is part of it for deno doc.
  const [about, inline = ""] = wordsOf(jsDoc?.doc).split(/\s*@default\s+/);
  return {
    name: isMethod ? `${name}(${paramsText(signature.params)})` : name,
    type: typeText(signature ? signature.returnType : tsType),
    fallback: (tagged(jsDoc, "default")[0] ?? inline).replace(/\s+/g, " "),
    about: about.split("\n")[0],
  };
}

/** The first example of some doc comments, without its fences. */
const exampleOf = (docs: readonly (Doc | undefined)[]) =>
  docs.flatMap((doc) => tagged(doc, "example"))[0]?.match(/```ts\n([\s\S]*?)\n```/)?.[1] ?? "";

/** The signatures of a function; those of an attribution method are its type's. */
function signaturesOf(all: Names, name: string, declarations: readonly Declaration[]): string[] {
  return [
    ...new Set(declarations.flatMap(({ kind, def }) => {
      if (kind === "function") {
        return declarations.length > 1 && def.hasBody ? [] : [signatureText(name, def as Signature)];
      }
      const type = def.tsType;
      const { callSignatures = [], typeParams = [] } = all.get(type?.value?.typeName)?.[0].def ?? {};
      const given = (type?.value?.typeParams ?? []) as Type[];
      const known = new Map(typeParams.map((param, i) => [param.name, typeText(given[i] ?? param.default)]));
      return callSignatures.map((signature) => signatureText(name, signature, known));
    })),
  ];
}

/** The classes of options that signatures name. */
const optionsIn = (all: Names, signatures: readonly string[]) =>
  [...new Set(signatures.flatMap((text) => text.match(/\b[A-Z]\w*Options\b/g) ?? []))].filter((name) => all.has(name));

/** The first sentence; the points of "et al." and "Fig. 3" end none. */
const SENTENCE = /^.*?(?<!\b(al|Fig))\.(?=\s|$)/;

function helpOnAll(all: Names): Help {
  const isCalled = ([{ kind, jsDoc }]: readonly Declaration[]) => /function|variable/.test(kind) && jsDoc?.doc;
  return new Help({
    signatures: [],
    about: "The functions of convlens. `help(saliency)` tells more of one, `help(result)` of what it returned.",
    heading: "function",
    entries: [...all].filter(([, declarations]) => isCalled(declarations)).map(([name, [{ jsDoc }]]) => ({
      name,
      type: "",
      fallback: "",
      about: wordsOf(jsDoc!.doc).match(SENTENCE)?.[0] ?? "",
    })),
    example: "help(saliency)",
  });
}

/** The name that something is public under. */
function nameOf(subject: unknown): string {
  if (typeof subject === "string") return subject;
  if (typeof subject === "function" && subject.name) return subject.name;
  const name = (subject as object | null)?.constructor?.name;
  if (typeof subject === "object" && name && !["Object", "Array", "Promise"].includes(name)) return name;
  throw new TypeError(
    `help takes a function or class of convlens, its name, or a result, as help(saliency): received ${
      kindOf(subject)
    }.`,
  );
}

/**
 * Tells how a function is called, what its options are and do, with their defaults, and shows a program that runs; of a
 * class or a result what it holds and does; of nothing at all which functions there are. It needs no `await`.
 *
 * @param subject a function or class of convlens, its name, or a result
 * @throws {RangeError} if nothing of that name is public: names the nearest
 * @throws {TypeError} if it is anything else
 *
 * @example
 * ```ts
 * import { help, saliency } from "@convlens/convlens";
 * console.log(help(saliency));
 * ```
 */
export function help(subject?: unknown): Help {
  if (subject === undefined) return helpOnAll(publicNames());
  const name = nameOf(subject);
  const all = publicNames();
  const declarations = all.get(name);
  if (!declarations) throw unknownName("function or class", name, [...all.keys()], "convlens");
  const docs = declarations.map(({ jsDoc }) => jsDoc);
  // Of overloads one is described at length.
  const [about] = docs.map((doc) => wordsOf(doc?.doc)).sort((a, b) => b.length - a.length);
  const example = exampleOf(docs);
  const made = declarations.find(({ kind }) => kind === "class" || kind === "interface");
  if (!made) {
    const signatures = signaturesOf(all, name, declarations);
    const entries = optionsIn(all, signatures).flatMap((type) => membersOf(all, type)).map(entryOf);
    return new Help({ signatures, about, heading: "option", entries, example });
  }
  const members = membersOf(all, name);
  const isOptions = name.endsWith("Options");
  const constructors = (made.def.constructors ?? []).filter(({ jsDoc }) => !tagged(jsDoc, "internal").length);
  return new Help({
    signatures: isOptions ? [] : constructors.map(({ params }) => `new ${name}(${paramsText(params)})`),
    about,
    heading: isOptions ? "option" : "member",
    entries: members.map(entryOf),
    example,
  });
}
