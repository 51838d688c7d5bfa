/// <reference lib="dom" />
/** A real JupyterLab and a real Chromium for the tests. */

import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { skipFor } from "../long.ts";
import { labIsReady, root } from "../notebook/nbconvert.ts";

/** The folder of what these tests make: beside `notebooks/`, so that a cell in it imports `../mod.ts` too. */
export const out = `${root}out`;

const CHROMIUM = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Whether there is Chromium; the tests are skipped otherwise.
 *
 * @throws Error if it is missing where all tests are asked for
 */
export async function chromiumIsReady(): Promise<boolean> {
  try {
    await Deno.stat(CHROMIUM);
    return true;
  } catch {
    skipFor(`there is no Chromium at ${CHROMIUM}. Install it, or set CHROMIUM to where it is.`);
    return false;
  }
}

/** Whether there are JupyterLab and Chromium, as {@linkcode chromiumIsReady}. */
export async function browserIsReady(): Promise<boolean> {
  return await labIsReady() && await chromiumIsReady();
}

/** Starts Chromium. */
export async function openBrowser(): Promise<Browser> {
  const { chromium } = await import("playwright-core");
  return await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A JupyterLab that runs, as `deno task lab` starts it. */
interface Lab {
  /** The address of a notebook in it. */
  address(name: string): string;
  stop(): Promise<void>;
}

/**
 * Starts JupyterLab with settings and data of its own.
 *
 * @param folder the folder with the notebooks
 * @param own a folder for its settings and data
 */
async function startLab(folder: string, own: string): Promise<Lab> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const wanted = listener.addr.port;
  listener.close();
  const token = crypto.randomUUID();
  // Cells out of sight are taken out of the page as a rule; here all are looked at.
  const settings = `${own}/settings/@jupyterlab/notebook-extension`;
  await Deno.mkdir(settings, { recursive: true });
  await Deno.writeTextFile(`${settings}/tracker.jupyterlab-settings`, JSON.stringify({ windowingMode: "none" }));
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      `${root}lib/tools/lab.ts`,
      "--no-browser",
      // Others may take the port before JupyterLab does: then it takes another one.
      "--ServerApp.port_retries=50",
      `--ServerApp.port=${wanted}`,
      `--IdentityProvider.token=${token}`,
      `--ServerApp.root_dir=${folder}`,
    ],
    env: {
      JUPYTERLAB_SETTINGS_DIR: `${own}/settings`,
      JUPYTERLAB_WORKSPACES_DIR: `${own}/workspaces`,
      JUPYTER_CONFIG_DIR: `${own}/config`,
      JUPYTER_DATA_DIR: `${own}/data`,
      JUPYTER_RUNTIME_DIR: `${own}/runtime`,
    },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const logged = (async () => {
    for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) log = (log + text).slice(-4000);
  })();
  const stop = async () => {
    try {
      process.kill("SIGTERM");
    } catch {
      // it has ended
    }
    await Promise.all([process.status, logged]);
  };
  let ended = false;
  process.status.then(() => ended = true);
  let origin = "";
  for (const end = Date.now() + 60_000;;) {
    try {
      // It writes down which one it has.
      const names = [...Deno.readDirSync(`${own}/runtime`)].map(({ name }) => name);
      const info = names.find((name) => /^jpserver-\d+\.json$/.test(name))!;
      origin = `http://127.0.0.1:${JSON.parse(await Deno.readTextFile(`${own}/runtime/${info}`)).port}`;
      const response = await fetch(`${origin}/api/status?token=${token}`);
      await response.body?.cancel();
      if (response.ok) break;
    } catch {
      // not yet
    }
    if (ended || Date.now() > end) {
      await stop();
      throw new Error(`JupyterLab did not start within 60 s:\n${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  // A workspace for each, so that JupyterLab does not open what the one before had open.
  return {
    address: (name) => `${origin}/lab/workspaces/${name.replace(/\W/g, "-")}/tree/${name}?token=${token}`,
    stop,
  };
}

/**
 * Opens a browser and a JupyterLab on {@linkcode out} before the tests of a `describe`, and ends both after them.
 *
 * @returns what the tests use; there once they run
 */
export function browserAndLab(): { browser: Browser; lab: Lab } {
  const opened = {} as { browser: Browser; lab: Lab };
  let own: string;
  beforeAll(async () => {
    own = await Deno.makeTempDir();
    await Deno.mkdir(out, { recursive: true });
    opened.browser = await openBrowser();
    opened.lab = await startLab(out, own);
  });
  afterAll(async () => {
    await opened.browser?.close();
    await opened.lab?.stop();
    await Deno.remove(own, { recursive: true });
  });
  return opened;
}

/**
 * Opens a browser and makes a folder before the tests of a `describe`, and takes both away after them.
 *
 * @returns what the tests use; there once they run
 */
export function browserAndFolder(): { browser: Browser; folder: string } {
  const opened = {} as { browser: Browser; folder: string };
  beforeAll(async () => {
    opened.folder = await Deno.makeTempDir();
    opened.browser = await openBrowser();
  });
  afterAll(async () => {
    await opened.browser?.close();
    await Deno.remove(opened.folder, { recursive: true });
  });
  return opened;
}

/** Cuts pages off from all the network but this machine's own, where JupyterLab is. */
export async function stayLocal(pages: Page | BrowserContext): Promise<void> {
  await pages.route(
    /^https?:/,
    (route) => new URL(route.request().url()).hostname === "127.0.0.1" ? route.continue() : route.abort(),
  );
}

/** The code cells of the notebook that JupyterLab shows. */
export const codeCells = (page: Page): Locator => page.locator(".jp-Notebook .jp-CodeCell");

/** Opens a notebook and waits until its cells stand there and its kernel is idle. */
export async function openNotebook(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.getByText("Deno | Idle").waitFor({ timeout: 60_000 });
  await codeCells(page).last().waitFor({ timeout: 60_000 });
}

/** Menu Run, Run All Cells; waits until the last cell is done, or one has failed. */
export async function runAll(page: Page, timeout: number): Promise<void> {
  await page.getByRole("menuitem", { name: "Run", exact: true }).click();
  await page.locator('[data-command="runmenu:run-all"]').click();
  await page.waitForFunction(
    () => {
      const prompts = [...document.querySelectorAll(".jp-Notebook .jp-CodeCell .jp-InputPrompt")];
      const failed = document.querySelector('.jp-Notebook [data-mime-type*="error"]');
      return failed || prompts.every((prompt) => /\[\d+\]/.test(prompt.textContent ?? ""));
    },
    undefined,
    { timeout, polling: 200 },
  );
}

/** Makes the window so high that the whole notebook is in sight, and takes a screenshot. */
export async function screenshot(page: Page, path: string): Promise<void> {
  const height = await page.evaluate(() =>
    (document.querySelector(".jp-Notebook .jp-WindowedPanel-outer") ?? document.documentElement).scrollHeight
  );
  await page.setViewportSize({ width: 1280, height: Math.min(height + 150, 12_000) });
  await page.evaluate(() => document.querySelector(".jp-Notebook .jp-WindowedPanel-outer")?.scrollTo(0, 0));
  await page.screenshot({ path });
}

/** What a picture in a page looks like once it is painted. */
export interface Painted {
  alt: string;
  width: number;
  height: number;
  /** How many different colours it has, as far as 2. */
  colours: number;
  /** Its pixel at the top left. */
  corner: number[];
}

/** Looks at every picture inside an element. */
export function pictures(inside: Locator): Promise<Painted[]> {
  return inside.locator("img").evaluateAll((images) =>
    Promise.all((images as HTMLImageElement[]).map(async (image) => {
      await image.decode().catch(() => {});
      const { naturalWidth: width, naturalHeight: height, alt } = image;
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width: Math.max(1, width), height: Math.max(1, height) });
      const context = canvas.getContext("2d")!;
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const first = new Uint32Array(data.buffer)[0];
      const colours = new Uint32Array(data.buffer).some((pixel) => pixel !== first) ? 2 : 1;
      return { alt, width, height, colours, corner: [...data.slice(0, 3)] };
    }))
  );
}
