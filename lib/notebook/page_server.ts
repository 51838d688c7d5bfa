/**
 * A server for what the page of a cell asks its kernel while no cell runs: it listens on this machine only.
 *
 * Two things let a page in, both of them: a random token in the address, which only the cell's own output has, and its
 * origin, which its browser says and which is one of this machine's or was named. What names no origin is no page, and
 * is refused as well.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import { messageOf } from "../errors.ts";
import { isOfHere, isToHere } from "./loopback.ts";

/** What is answered: JSON, or bytes. */
export interface PageReply {
  readonly status: number;
  readonly body: object | Uint8Array<ArrayBuffer>;
}

/** A running server. */
export interface PageServer {
  /** Where it listens, with the token; what is asked is put behind it, as `/state`. */
  readonly url: string;
  close(): Promise<void>;
}

/** A longer question is none. */
const LONGEST = 65_536;

const isEqual = (a: string, b: string): boolean => {
  const [one, other] = [a, b].map((text) => new TextEncoder().encode(text));
  return one.length === other.length && timingSafeEqual(one, other);
};

/**
 * @param handlers by what is asked; each is given the JSON of the question
 * @param origins of pages that may ask besides those of this machine, as `"https://hub.example.org"`
 */
export function startPageServer(
  handlers: Readonly<Record<string, (question: Record<string, unknown>) => PageReply>>,
  origins: readonly string[] = [],
): PageServer {
  const token = crypto.randomUUID();
  const closing = new AbortController();
  const options = { hostname: "127.0.0.1", port: 0, signal: closing.signal, onListen: () => {} };
  const server = Deno.serve(options, async (request) => {
    const [, given = "", asked = ""] = new URL(request.url).pathname.split("/");
    const origin = request.headers.get("origin");
    const isMeant = origin !== null && (isOfHere(origin) || origins.includes(origin));
    if (!isEqual(given, token) || !isMeant || !isToHere(request, server.addr.port)) {
      return new Response(null, { status: 403 });
    }
    const headers = { "access-control-allow-origin": origin, "cache-control": "no-store", vary: "origin" };
    if (request.method === "OPTIONS") {
      const allowed = {
        "access-control-allow-headers": "content-type",
        "access-control-allow-private-network": "true",
      };
      return new Response(null, { status: 204, headers: { ...headers, ...allowed } });
    }
    if (request.method !== "POST" || !Object.hasOwn(handlers, asked)) {
      return new Response(null, { status: 404, headers });
    }
    const { status, body } = await reply(request, handlers[asked]);
    return body instanceof Uint8Array
      ? new Response(body, { status, headers })
      : Response.json(body, { status, headers });
  });
  // It alone must not keep a process alive.
  server.unref();
  return {
    url: `http://127.0.0.1:${server.addr.port}/${token}`,
    // Requests that never end are dropped.
    async close() {
      closing.abort();
      await server.finished;
    },
  };
}

/** What a handler answers; what it throws is an answer too. */
async function reply(
  request: Request,
  handler: (question: Record<string, unknown>) => PageReply,
): Promise<PageReply> {
  let question: Record<string, unknown>;
  try {
    if (Number(request.headers.get("content-length")) > LONGEST) throw new RangeError("it is too long");
    const text = await request.text();
    if (text.length > LONGEST) throw new RangeError("it is too long");
    question = JSON.parse(text);
    if (typeof question !== "object" || question === null) throw new TypeError("it is no object");
  } catch (error) {
    return { status: 400, body: { message: `What was asked cannot be read: ${messageOf(error)}.` } };
  }
  try {
    return handler(question);
  } catch (error) {
    return { status: 500, body: { message: `${messageOf(error)}.` } };
  }
}
