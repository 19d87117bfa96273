import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { afterAll, describe, expect } from "@jest/globals";
import type { BrowserContextOptions, Locator, Page } from "playwright-core";
import type { ServeOptions } from "../../lib/server.js";
import { packageRoot } from "../../lib/formats/index.js";
import { installedChromium, launch, openTab, type Tab } from "./browser.js";
import { servedForFile, startServer, type Served } from "./served.js";

const chromium = installedChromium();
/** `describe`, but skipped on a machine without a browser. */
export const browsing: typeof describe.skip = chromium === undefined ? describe.skip : describe;
const PAGE = { page: join(packageRoot(), "dist", "page") };

/** A browser, and a server with the page. */
export interface Pages {
  ask: Served["ask"];
  space: Served["space"];
  /** Opens the page with a setting: a question that `tiny` answers, and its Italian. */
  open: (fields?: object, options?: BrowserContextOptions) => Promise<Tab>;
  /** Opens an address. */
  openAt: (url: string) => Promise<Tab>;
  /** Starts another server. */
  serve: (options: Partial<ServeOptions>) => ReturnType<typeof startServer>;
}

/** For one test file; both are gone after its last test. */
export async function pagesForFile(): Promise<Pages | undefined> {
  if (chromium === undefined) return undefined;
  const { server, space, ask } = await servedForFile(PAGE);
  const browser = await launch(chromium);
  afterAll(() => browser.close());
  const open: Pages["open"] = async (fields = {}, options = {}) => {
    const tab = await openTab(browser, `${server.url}/${linkTo(fields)}`, options);
    await tab.page.locator(".loading").waitFor({ state: "detached" });
    return tab;
  };
  return { ask, space, open, openAt: (url) => openTab(browser, url), serve: (options) => startServer(space, { ...PAGE, ...options }) };
}

function linkTo(fields: object): string {
  const uses = [{ id: "tiny-italian", layers: "all" }];
  const setting = { model: "tiny", prompt: "How do I make a pie?", maxTokens: 24, uses, ...fields };
  return `#s=${Buffer.from(JSON.stringify(setting)).toString("base64url")}`;
}

/** Closes a tab in which nothing may have gone wrong. */
export async function close({ page, faults }: Tab): Promise<void> {
  await page.context().close();
  expect(faults).toEqual([]);
}

/** Repeats a check until it passes; fails as it does after ten seconds. */
export async function eventually(check: () => Promise<void>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end;) {
    try {
      return await check();
    } catch {
      await after(50);
    }
  }
  await check();
}

export const column = (page: Page, index: number): Locator => page.locator(".column").nth(index);
export const answers = (page: Page): Promise<string[]> => page.locator(".column .turn:last-child .tokens").allTextContents();

/** Asks, and waits for all answers and their scores. */
export async function ask(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await settled(page);
}

export async function settled(page: Page): Promise<void> {
  await page.locator(".turn:last-child .reply.done").nth(2).waitFor();
  await page.locator(".figures div:last-child dd").filter({ hasText: /\d/ }).nth(2).waitFor();
}

interface Styled {
  style: { getPropertyValue(name: string): string };
}

/** How strongly the tokens of a column's last answer are shaded, from 0 to 1. */
export function shades(page: Page, index: number): Promise<number[]> {
  return column(page, index).locator(".turn:last-child .token").evaluateAll((tokens) => (
    (tokens as unknown as Styled[]).map(({ style }) => style.getPropertyValue("--alpha"))
  )).then((values) => values.map(Number));
}
