import { describe, expect, test, vi } from "vitest";
import { display, displaySymbol, inKernel, keepOutputs } from "../../lib/notebook/display.ts";
import { echo } from "../../lib/notebook/iopub.ts";

describe("outside the kernel", () => {
  test("inKernel says so, and keepOutputs does nothing", () => {
    expect(inKernel()).toBe(false);
    expect(() => keepOutputs()).not.toThrow();
    expect(displaySymbol).toBe(Symbol.for("Jupyter.display"));
  });

  test("display names what is missing", async () => {
    await expect(display({ "text/plain": "a" })).rejects.toThrow(/does not run in the Deno Jupyter kernel.*inKernel/);
  });
});

/** Bytes in which the kernel greets: a greeting of 64, then a READY command. */
const GREETING = Uint8Array.from({ length: 64 }, (_, i) => i === 0 ? 0xff : i === 9 ? 0x7f : i === 10 ? 3 : 0);
const READY = new Uint8Array([4, 6, 5, ...new TextEncoder().encode("READY")]);

/** A kernel's iopub socket, as far as `echo` looks at it. It publishes what is sent, but loses the first messages. */
async function withPublisher<T>(
  { loses, delay }: { loses: number; delay: number },
  use: (port: number, send: (marker: string) => void, sent: string[]) => Promise<T>,
): Promise<T> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sent: string[] = [];
  let publish: (text: string) => void = () => {};
  const served = (async () => {
    using connection = await listener.accept();
    let queue = (async () => {
      await connection.write(GREETING);
      await connection.write(READY);
    })();
    publish = (text) => {
      queue = queue.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, delay));
        await connection.write(new TextEncoder().encode(text));
      }).catch(() => {}); // the listener has gone
    };
    const buffer = new Uint8Array(1000);
    while (await connection.read(buffer).catch(() => null) !== null);
  })();
  const send = (marker: string) => {
    sent.push(marker);
    if (sent.length > loses) publish(`{"display_id":"${marker}"}`);
  };
  const result = await use(listener.addr.port, send, sent);
  await served;
  return result;
}

describe("echo", () => {
  test("is complete when the marker has come out", () =>
    withPublisher({ loses: 0, delay: 40 }, async (port, send, sent) => {
      const start = performance.now();
      expect(await echo({ hostname: "127.0.0.1", port }, send, 5000)).toBe(true);
      expect(performance.now() - start).toBeGreaterThanOrEqual(39);
      expect(new Set(sent.map((marker) => marker.split(":")[0])).size).toBe(1);
    }));

  test("sends again when the first markers are lost, and waits for the last one", () =>
    withPublisher({ loses: 2, delay: 30 }, async (port, send, sent) => {
      const start = performance.now();
      expect(await echo({ hostname: "127.0.0.1", port }, send, 5000)).toBe(true);
      const heard = performance.now() - start;
      expect(sent.length).toBeGreaterThan(2);
      expect(heard).toBeGreaterThanOrEqual(30 * (sent.length - 2) - 1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(sent.length).toBe(new Set(sent).size);
      expect(sent.at(-1)).toMatch(new RegExp(`:${sent.length};$`));
    }));

  test("gives up when nothing comes, and sends no more", () =>
    withPublisher({ loses: Infinity, delay: 0 }, async (port, send, sent) => {
      expect(await echo({ hostname: "127.0.0.1", port }, send, 200)).toBe(false);
      const count = sent.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(sent.length).toBe(count);
    }));

  test("gives up when the time is up before it is connected", async () => {
    const { connect: connectAtOnce } = Deno;
    const connect = async (endpoint: Deno.ConnectOptions) => {
      const connection = await connectAtOnce(endpoint);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return connection;
    };
    vi.stubGlobal("Deno", Object.create(Deno, { connect: { value: connect } }));
    try {
      await withPublisher({ loses: Infinity, delay: 0 }, async (port, send, sent) => {
        expect(await echo({ hostname: "127.0.0.1", port }, send, 20)).toBe(false);
        expect(sent).toEqual([]);
      });
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test("gives up at once where nobody listens", async () => {
    // A port that no other program is given by chance, and far less than the time that it may take.
    const start = performance.now();
    expect(await echo({ hostname: "127.0.0.1", port: 1 }, () => {}, 60_000)).toBe(false);
    expect(performance.now() - start).toBeLessThan(30_000);
  });
});
