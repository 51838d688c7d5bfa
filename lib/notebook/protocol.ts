/**
 * The Jupyter messaging protocol 5.3: messages to frames and back, signed.
 *
 * @see https://jupyter-client.readthedocs.io/en/stable/messaging.html
 * @module
 */

import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";

/** What a message carries, apart from its routing. */
export interface Message {
  /** Its own id. */
  id: string;
  /** As "execute_request" or "stream". */
  type: string;
  /** The id of the request that it answers. */
  parent?: string;
  content: Record<string, unknown>;
}

/** A message whose signature does not fit. */
export class DamagedError extends Error {
  override name = "DamagedError";
}

const DELIMITER = "<IDS|MSG>";

function sign(key: string, parts: (string | Uint8Array)[]): string {
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest("hex");
}

/** A new message as the frames to send. */
export function encode(key: string, session: string, message: Omit<Message, "parent">): string[] {
  const header = {
    msg_id: message.id,
    msg_type: message.type,
    session,
    username: "convlens",
    date: new Date().toISOString(),
    version: "5.3",
  };
  const parts = [header, {}, {}, message.content].map((part) => JSON.stringify(part));
  return [DELIMITER, sign(key, parts), ...parts];
}

/**
 * The message in the received frames.
 *
 * @throws DamagedError if the signature does not fit
 */
export function decode(key: string, frames: Uint8Array[]): Message {
  const texts = frames.map((frame) => Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
  const start = texts.findIndex((frame) => frame.length === DELIMITER.length && frame.toString() === DELIMITER);
  const parts = texts.slice(start + 2, start + 6);
  const signature = Buffer.from(sign(key, parts));
  if (start < 0 || texts[start + 1].length !== signature.length || !timingSafeEqual(texts[start + 1], signature)) {
    throw new DamagedError("A message from the kernel was damaged on its way: its signature does not fit.");
  }
  const [header, parent, , content] = parts.map((part) => JSON.parse(part.toString()));
  return { id: header.msg_id, type: header.msg_type, parent: parent.msg_id, content };
}
