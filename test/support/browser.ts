import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";

const PLACES = [
  process.env["LLAMA_STEER_CHROMIUM"] ?? "", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** The machine's Chromium or Chrome; undefined, and said loudly, if there is none. */
export function installedChromium(): string | undefined {
  const path = PLACES.find((place) => place !== "" && existsSync(place));
  if (path !== undefined) return path;
  const advice = "install it (Debian: apt-get install chromium), or set LLAMA_STEER_CHROMIUM to its path";
  console.warn(`\n*** NOT TESTED: the page, because there is no Chromium; ${advice} ***\n`);
  return undefined;
}

/** Without a sandbox where the user is root, as in containers: only our own page is opened. */
export function launch(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 });
}

/** A tab that remembers what went wrong in it. */
export interface Tab {
  page: Page;
  /** Errors of scripts, messages of the console and failed requests. */
  faults: string[];
}

export async function openTab(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) faults.push(message.text()); });
  page.on("requestfailed", (request) => { if (!request.failure()?.errorText.includes("ABORTED")) faults.push(request.url()); });
  // Nothing from elsewhere.
  page.on("request", (request) => {
    if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== new URL(url).origin) faults.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  return { page, faults };
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds wrong with the page as it is, e.g. `color-contrast: .hint`. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(`${axe}; undefined`);
  return page.evaluate(`axe.run(document).then(({ violations }) => violations.flatMap(
    ({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ": " + target.join(" ") + " " + failureSummary)))`);
}
