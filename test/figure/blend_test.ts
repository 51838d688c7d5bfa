import { describe, expect, test } from "vitest";
import { composite } from "../../lib/figure/parts.ts";
import type { Blend } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";

const photo = { data: new Uint8Array(4 * 2 * 3).fill(100), width: 4, height: 2 };
const blend = (more: Partial<Blend>): Blend => ({
  kind: "blend",
  below: photo,
  above: { data: new Uint8Array(4 * 2 * 3).fill(200), width: 4, height: 2 },
  alt: "a map over a photo",
  ...more,
});

describe("a picture over a photo", () => {
  test.each([[0, 100], [0.25, 125], [1, 200], [undefined, 160]])("at opacity %j", (opacity, wanted) => {
    const { data, width, height } = composite(blend({ opacity }));
    expect([width, height]).toEqual([4, 2]);
    expect(data.every((byte) => byte === wanted)).toBe(true);
  });

  test("lets the photo through where it is transparent", () => {
    const above = { data: new Uint8Array(4 * 2 * 4).fill(200), width: 4, height: 2 };
    above.data[3] = 0;
    above.data[7] = 51;
    const { data } = composite(blend({ above, opacity: 0.5 }));
    expect([data[0], data[3], data[6]]).toEqual([100, 110, Math.round(100 + 50 * (200 / 255))]);
  });

  test("is stretched over the photo, cell by cell, where it is coarser", () => {
    const above = { data: Uint8Array.of(0, 0, 0, 200, 200, 200), width: 2, height: 1 };
    const { data } = composite(blend({ above, opacity: 1 }));
    expect(Array.from({ length: 8 }, (_, i) => data[3 * i])).toEqual([0, 0, 200, 200, 0, 0, 200, 200]);
  });

  test("is one image where scripts do not run", async () => {
    const html = await new Figure({ title: "a", blocks: [blend({})] }).html();
    const still = html.replace(/<script[\s\S]*?<\/script>/g, "");
    expect(still.match(/<img /g)).toHaveLength(1);
    expect(still).toContain('alt="a map over a photo" width="4" height="2"');
    expect(still).not.toMatch(/<input|<button/);
  });
});
