import { describe, expect, test } from "vitest";
import { DamagedError, decode, encode } from "../../lib/notebook/protocol.ts";
import { Socket } from "../../lib/notebook/zmtp.ts";

const bytes = (frames: string[]) => frames.map((frame) => new TextEncoder().encode(frame));

describe("messages", () => {
  const message = { id: "1", type: "execute_request", content: { code: 'console.log("ü")' } };

  test("come back as they went, whatever stands before the delimiter", () => {
    const frames = bytes(["identity", ...encode("key", "session", message)]);
    expect(decode("key", frames)).toEqual({ ...message, parent: undefined });
  });

  test("carry the HMAC-SHA256 of header, parent, metadata and content", async () => {
    const [delimiter, signature, ...parts] = encode("key", "session", message);
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode("key"),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    );
    const digest = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(parts.join("")));
    expect(delimiter).toBe("<IDS|MSG>");
    expect(signature).toBe(new Uint8Array(digest).toHex());
  });

  test.each([
    ["another content", (frames: string[]) => frames.with(5, "{}")],
    ["another key", () => encode("other", "session", message)],
    ["no signature", (frames: string[]) => frames.with(1, "")],
    ["no delimiter", (frames: string[]) => frames.slice(1)],
  ])("are refused with %s", (_, damage) => {
    const frames = bytes(damage(encode("key", "session", message)));
    expect(() => decode("key", frames)).toThrow(DamagedError);
  });
});

describe("Socket", () => {
  /** A server that answers all that it gets, after its greeting, byte for byte. */
  async function withMirror<T>(use: (port: number, received: Uint8Array[]) => Promise<T>): Promise<T> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const received: Uint8Array[] = [];
    const served = (async () => {
      using connection = await listener.accept();
      const buffer = new Uint8Array(1 << 16);
      for (let size; (size = await connection.read(buffer).catch(() => null)) !== null;) {
        received.push(buffer.slice(0, size!));
        for (let sent = 0; sent < size!;) sent += await connection.write(buffer.subarray(sent, size!));
      }
    })();
    const result = await use(listener.addr.port, received);
    await served;
    return result;
  }

  test("sends and receives messages of short and long frames, in order", () =>
    withMirror(async (port) => {
      using socket = await Socket.connect({ hostname: "127.0.0.1", port }, "DEALER");
      const messages = [["a"], ["", "b".repeat(255), "c".repeat(256)], ["d".repeat(5e6), "ü"]];
      const sent = Promise.all(messages.map((frames) => socket.send(frames)));
      const found: string[][] = [];
      for await (const frames of socket.messages()) {
        found.push(frames.map((frame) => new TextDecoder().decode(frame)));
        if (found.length === messages.length) break;
      }
      await sent;
      expect(found.map((frames) => frames.map((frame) => frame.length))).toEqual([[1], [0, 255, 256], [5e6, 1]]);
      expect(found).toEqual(messages);
    }));

  test("a SUB greets, is ready, and subscribes to everything", () =>
    withMirror(async (port, received) => {
      using socket = await Socket.connect({ hostname: "127.0.0.1", port }, "SUB");
      const { value } = await socket.messages().next();
      expect(value).toEqual([new Uint8Array([1])]); // its own subscription, mirrored
      const hello = new Uint8Array(received.flatMap((part) => [...part]));
      expect(hello.slice(0, 12)).toEqual(new Uint8Array([0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0]));
      expect(new TextDecoder().decode(hello.slice(12, 32))).toBe("NULL".padEnd(20, "\0"));
      expect(new TextDecoder().decode(hello.slice(64))).toBe("\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB\0\x01\x01");
    }));
});
