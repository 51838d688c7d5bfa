/// <reference lib="dom" />
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Block, Picture, SheetTile, Slides } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { notebookPage } from "../../lib/tools/notebook_page.ts";
import { chromiumIsReady, openBrowser } from "../browser/browser.ts";
import { ALL } from "../long.ts";

// Clicks in a real browser take their time: in CI.
const ready = ALL && await chromiumIsReady();

const EVIL = `</script><img src=x onerror="document.title='broken'">`;

const shade = (value: number, alt: string): Block => ({
  kind: "picture",
  pixels: { data: new Uint8Array(20 * 20 * 3).fill(value), width: 20, height: 20 },
  alt,
});

/** Five shades; the frame of `label` 3 is named as an attack would name it. */
const slides = (name: string, more: Partial<Slides> = {}): Slides => ({
  kind: "slides",
  label: "epoch",
  frames: Array.from({ length: 5 }, (_, i) => ({ label: `${i}`, block: shade(50 * i, `${name} ${i}`) })),
  ...more,
});

const EVIL_SLIDES = slides("evil", {
  label: EVIL,
  frames: [1, 2].map((i) => ({ label: EVIL, block: shade(i, `${EVIL} ${i}`) })),
});

const map = { data: new Uint8Array(20 * 20 * 3).fill(200), width: 20, height: 20 };
const photo = { data: new Uint8Array(20 * 20 * 3), width: 20, height: 20 };
const blend = (alt: string, opacity?: number): Block => ({ kind: "blend", below: photo, above: map, alt, opacity });

const figure = (blocks: Block[]) => new Figure({ title: "A figure", blocks }).html();

describe("slides where scripts do not run", () => {
  const still = async (block: Slides) => (await figure([block])).replace(/<script[\s\S]*?<\/script>/g, "");

  test("show the last frame and say which it is, and no slider that does nothing", async () => {
    const html = await still(slides("a"));
    expect(html.match(/alt="[^"]*"/g)).toEqual(['alt="a 4"']);
    expect(html).toContain("epoch 4 · 5 of 5");
    expect(html).not.toMatch(/<input|<button/);
  });

  test("show the frame that they start at", async () => {
    const html = await still(slides("a", { start: 1 }));
    expect(html.match(/alt="[^"]*"/g)).toEqual(['alt="a 1"']);
    expect(html).toContain("epoch 1 · 2 of 5");
  });

  test("refuse a start that is not there", async () => {
    const wrong = 'Slides start at one of their frames: received the start 5 for the 5 frames of "epoch".';
    await expect(figure([slides("a", { start: 5 })])).rejects.toThrow(wrong);
    await expect(new Figure({ title: "a", blocks: [slides("a", { start: 5 })] }).png()).rejects.toThrow(RangeError);
    await expect(figure([slides("a", { frames: [] })])).rejects.toThrow("the 0 frames");
  });
});

describe.skipIf(!ready)("sliders in Chromium", () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  /** Opens a page with these figures, each with its scripts. */
  async function open(...figures: Block[][]) {
    await page?.close();
    page = await browser.newPage({ viewport: { width: 800, height: 700 } });
    const html = await Promise.all(figures.map(figure));
    await page.setContent(`<!doctype html><body>${html.join("\n")}`);
  }

  /** The words for the pictures that can be seen. */
  const seen = () =>
    page.evaluate(() =>
      [...document.querySelectorAll("img")]
        .filter((image) =>
          image.alt && getComputedStyle(image).visibility === "visible" && image.getClientRects().length > 0
        )
        .map(({ alt }) => alt)
    );
  /** Sets a slider as a hand does. */
  const slide = (which: number, value: number) =>
    page.locator("input[type=range]").nth(which).evaluate((input, value) => {
      (input as HTMLInputElement).value = String(value);
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }, value);

  test("choose the frame, and say which it is", async () => {
    await open([slides("a")]);
    expect(await seen()).toEqual(["a 4"]);
    await slide(0, 1);
    expect(await seen()).toEqual(["a 1"]);
    expect(await page.locator(".convlens-where").textContent()).toBe("epoch 1 · 2 of 5");
    // The picture is painted, not only there.
    const [red] = await page.evaluate(() => {
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("2d")!;
      context.drawImage(document.querySelector<HTMLImageElement>('img[alt="a 1"]')!, 0, 0);
      return [...context.getImageData(5, 5, 1, 1).data];
    });
    expect(red).toBe(50);
  });

  test("of a contact sheet choose the order of its pictures", async () => {
    const tiles = [30, 90, 200].map((value) => ({ ...shade(value, `tile ${value}`) as Picture, lines: [], words: "" }));
    const orders = [{ name: "as given", places: [0, 1, 2] }, { name: `wrong first ${EVIL}`, places: [2, 0, 1] }];
    await open([{ kind: "sheet", side: 20, tiles, orders }], [{ kind: "sheet", side: 20, tiles, orders }]);
    const given = ["tile 30", "tile 90", "tile 200"];
    expect(await seen()).toEqual([...given, ...given]);
    const button = page.getByRole("button", { name: "wrong first" }).first();
    await button.click();
    expect(await seen()).toEqual(["tile 200", "tile 30", "tile 90", ...given]);
    expect(await button.getAttribute("aria-pressed")).toBe("true");
    expect(await page.title()).toBe("");
    await page.getByRole("button", { name: "as given" }).first().click();
    expect(await seen()).toEqual([...given, ...given]);
  });

  test("of a contact sheet: a search hides tiles; under the pointer there is a part, enlarged, and its whole", async () => {
    const whole = { data: new Uint8Array(40 * 40 * 3).fill(120), width: 40, height: 40 };
    const tiles = [30, 90, 200].map((value, i): SheetTile => ({
      ...shade(value, `tile ${value}`) as Picture,
      lines: [`channel ${i + 7}`],
      words: "all of it",
      spots: [{
        box: [0, 0, 10, 20],
        pair: [10, 0, 10, 20],
        words: `spot ${i} ${EVIL}`,
        whole: { of: whole, box: [0.25, 0.5, 0.75, 1] },
      }],
    }));
    await open([{ kind: "sheet", side: 20, tiles, filter: "channel" }], [{ kind: "sheet", side: 20, tiles }]);
    const all = ["tile 30", "tile 90", "tile 200"];
    await page.getByRole("searchbox").fill("8-");
    expect(await seen()).toEqual(["tile 90", "tile 200", ...all]);
    expect(await page.getByText("2 of 3").count()).toBe(1);
    await page.getByRole("searchbox").fill("");
    expect(await seen()).toEqual([...all, ...all]);
    const tip = page.locator(".convlens-spot");
    const tile = page.locator('img[alt="tile 90"]').first();
    expect(await page.locator("[title='all of it']").count()).toBe(0);
    await tile.hover({ position: { x: 3, y: 3 } });
    // The whole joins when it is unpacked, at the next move.
    await expect.poll(async () => {
      await tile.hover({ position: { x: 4 + Math.random() * 3, y: 4 } });
      return tip.locator("canvas").count();
    }).toBe(3);
    expect(await tip.textContent()).toBe(`spot 1 ${EVIL}`);
    const sizes = await tip.locator("canvas").evaluateAll((all) => all.map((one) => (one as HTMLCanvasElement).width));
    expect(sizes).toEqual([70, 70, 160]);
    // The white box on the whole, and what is in it.
    const colors = await tip.locator("canvas").last().evaluate((canvas) => {
      const context = (canvas as HTMLCanvasElement).getContext("2d")!;
      return [[80, 80], [100, 80], [40, 80]].map(([x, y]) => context.getImageData(x, y, 1, 1).data[0]);
    });
    expect(colors).toEqual([255, 120, 120]);
    await page.mouse.move(790, 690);
    expect(await tip.isVisible()).toBe(false);
    expect(await page.title()).toBe("");
  });

  test("obey keys and buttons", async () => {
    await open([slides("a", { start: 2 })]);
    const input = page.getByRole("slider", { name: "epoch" });
    await input.focus();
    await page.keyboard.press("ArrowLeft");
    expect(await seen()).toEqual(["a 1"]);
    await page.keyboard.press("End");
    expect(await seen()).toEqual(["a 4"]);
    expect(await input.getAttribute("aria-valuetext")).toBe("epoch 4 · 5 of 5");
    await page.getByRole("button", { name: "one back" }).click();
    expect(await seen()).toEqual(["a 3"]);
    await page.getByRole("button", { name: "one on" }).click();
    await page.getByRole("button", { name: "one on" }).click();
    expect(await seen()).toEqual(["a 4"]);
  });

  test("play to the end, and stop there or when told", async () => {
    await open([slides("a")]);
    const button = page.locator("[data-action=play]");
    // A frame stays for half a second: the page itself notes which there were, so that none is missed.
    const where = await page.locator(".convlens-where").evaluateHandle((where) => {
      const said: string[] = [];
      new MutationObserver(() => said.push(where.textContent!)).observe(where, { childList: true });
      return { said };
    });
    await button.click();
    await expect.poll(() => where.evaluate(({ said }) => said.length)).toBe(5);
    expect(await where.evaluate(({ said }) => said)).toEqual([0, 1, 2, 3, 4].map((i) => `epoch ${i} · ${i + 1} of 5`));
    await expect.poll(() => button.textContent()).toBe("play");
    // Pressed by the page, at once: from here, it might have come to the end in between.
    const words = await button.evaluate((button) =>
      [1, 2].map(() => {
        (button as HTMLButtonElement).click();
        return button.textContent;
      })
    );
    expect(words).toEqual(["stop", "play"]);
    expect(await where.evaluate(({ said }) => said.slice(5))).toEqual(["epoch 0 · 1 of 5"]);
  });

  test("move together in one figure if they set the same, and leave other figures alone", async () => {
    await open([slides("a"), slides("b"), slides("c", { label: "size" })], [slides("d")]);
    await slide(0, 0);
    expect(await seen()).toEqual(["a 0", "b 0", "c 4", "d 4"]);
    expect(await page.locator("input[type=range]").nth(1).inputValue()).toBe("0");
    await slide(3, 2);
    expect(await seen()).toEqual(["a 0", "b 0", "c 4", "d 2"]);
  });

  test("work within frames of others, and in what comes into the page later", async () => {
    const nested = slides("outer", {
      label: "layer",
      frames: [0, 1].map((i) => ({ label: `${i}`, block: slides(`inner ${i}`) })),
    });
    await open([slides("a")]);
    await page.evaluate((html) => {
      const later = document.createElement("div");
      later.innerHTML = html;
      document.body.append(later);
      for (const script of later.querySelectorAll("script:not([type])")) {
        const again = document.createElement("script");
        again.textContent = script.textContent;
        script.replaceWith(again);
      }
    }, await figure([nested]));
    expect(await seen()).toEqual(["a 4", "inner 1 4"]);
    await slide(1, 0);
    expect(await seen()).toEqual(["a 4", "inner 0 4"]);
    await page.locator('input[aria-label="epoch"]').nth(1).evaluate((input) => {
      (input as HTMLInputElement).value = "1";
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    expect(await seen()).toEqual(["a 4", "inner 0 1"]);
  });

  test("keep the page still: all frames take the room of the largest", async () => {
    const frames = [10, 60].map((height, i) => ({
      label: `${i}`,
      block: {
        kind: "picture" as const,
        pixels: { data: new Uint8Array(20 * height * 3), width: 20, height },
        alt: `height ${height}`,
      },
    }));
    await open([slides("a", { frames }), shade(1, "below")]);
    const below = () => page.locator('img[alt="below"]').boundingBox();
    const before = await below();
    await slide(0, 0);
    expect(await seen()).toEqual(["height 10", "below"]);
    expect(await below()).toEqual(before);
  });

  test("show words from outside as text", async () => {
    await open([EVIL_SLIDES]);
    expect(await page.locator("input[type=range]").count()).toBe(1);
    await slide(0, 0);
    expect(await seen()).toEqual([`${EVIL} 1`]);
    expect(await page.locator(".convlens-where").textContent()).toBe(`${EVIL} ${EVIL} · 1 of 2`);
    expect(await page.title()).not.toBe("broken");
  });

  /** The colour in the middle of a picture as it is painted. */
  async function painted(which: number): Promise<number> {
    const stack = page.locator(".convlens-stack").nth(which);
    const png = (await stack.screenshot()).toString("base64");
    return await page.evaluate(async (png) => {
      const image = new Image();
      image.src = `data:image/png;base64,${png}`;
      await image.decode();
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("2d")!;
      context.drawImage(image, 0, 0);
      return context.getImageData(10, 10, 1, 1).data[0];
    }, png);
  }

  test("blend a map with a photo, all maps of a figure together", async () => {
    await open([{ kind: "row", blocks: [blend("a", 0.5), blend("b", 1)] }], [blend("c")]);
    expect(await painted(0)).toBeCloseTo(100, -1);
    expect(await painted(1)).toBe(200);
    await slide(0, 0.25);
    expect(await painted(0)).toBeCloseTo(50, -1);
    expect(await painted(1)).toBeCloseTo(50, -1);
    expect(await painted(2)).toBeCloseTo(120, -1);
    expect(await page.locator(".convlens-share").allTextContents()).toEqual(["map 25 %", "map 25 %", "map 60 %"]);
    await slide(1, 0);
    expect(await painted(0)).toBe(0);
    // Map and photo stay one over the other where the page is narrow.
    await page.setViewportSize({ width: 60, height: 700 });
    const boxes = await page.locator(".convlens-stack").first().locator("img").evaluateAll((images) =>
      images.map((image) => JSON.stringify(image.getBoundingClientRect()))
    );
    expect(boxes[1]).toBe(boxes[0]);
  });

  test("work in the exported page, several figures on it", async () => {
    const html = await Promise.all([figure([slides("a"), blend("b")]), figure([slides("c")])]);
    const exported = await notebookPage({
      cells: html.map((text, i) => ({
        id: `cell-${i}`,
        cell_type: "code",
        source: "",
        metadata: {},
        execution_count: 1,
        outputs: [{ output_type: "display_data", data: { "text/html": text }, metadata: {} }],
      })),
      metadata: {},
      nbformat: 4,
      nbformat_minor: 5,
    });
    await page?.close();
    page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.setContent(exported);
    await slide(2, 1);
    await slide(0, 0);
    expect(await seen()).toEqual(["a 0", "b", "c 1"]);
    await slide(1, 0.1);
    expect(await page.locator(".convlens-share").textContent()).toBe("map 10 %");
    expect(errors).toEqual([]);
  });
});
