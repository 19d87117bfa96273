import { expect, test } from "@jest/globals";
import { violations } from "../support/browser.js";
import { ask, browsing, close, column, pagesForFile } from "../support/page.js";

const pages = await pagesForFile();

browsing("the page", () => {
  const LOOKS = [
    ["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }],
    ["a phone", { colorScheme: "light", viewport: { width: 390, height: 844 } }],
  ] as const;

  test.each(LOOKS)("has no fault that axe finds: %s", async (_, options) => {
    const tab = await pages!.open({}, options);
    const { page } = tab;
    const found = async (): Promise<string[]> => violations(page);
    expect(await found()).toEqual([]);
    await ask(page);
    await column(page, 2).locator(".token").nth(2).click();
    expect(await page.locator(".inspector").count()).toBe(1);
    expect(await found()).toEqual([]);
    await page.keyboard.press("Escape");
    await page.getByText("Options").click();
    expect(await found()).toEqual([]);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Copy as code" }).click();
    expect(await found()).toEqual([]);
    const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    expect(wide).toBe(0);
    await close(tab);
  });

  test("makes a vector from two descriptions, turns it on, and deletes it", async () => {
    const tab = await pages!.open({ model: "chat", uses: [] });
    const { page } = tab;
    await page.getByRole("button", { name: "Make a vector" }).click();
    await page.getByLabel("Towards").fill("speaks Italian");
    await page.getByRole("button", { name: "Make the vector" }).click();
    await page.getByRole("progressbar").waitFor();
    await page.locator(".made").waitFor({ timeout: 40_000 });
    expect(await page.locator(".made").textContent()).toMatch(/^Speaks Italian (strong|usable|weak|noise)\S/);
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Try it" }).click();
    const card = page.locator(".card").filter({ hasText: "Speaks Italian" });
    expect(await card.getByRole("switch").isChecked()).toBe(true);
    expect(await page.locator(".row").count()).toBe(2);
    await card.getByText("Details").click();
    await card.getByRole("button", { name: "Delete …" }).click();
    await card.getByRole("button", { name: "Delete the file" }).click();
    await card.waitFor({ state: "detached" });
    await close(tab);
  });

  test("makes a vector from pasted pairs, says what is wrong with them, and cancels", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    await page.getByRole("button", { name: "Make a vector" }).click();
    await page.getByLabel("Pairs of texts").fill("only one side");
    expect(await page.locator("dialog .problem").textContent()).toMatch(/^Line 1 has 1 filled columns/);
    expect(await page.getByRole("button", { name: "Make the vector" }).isDisabled()).toBe(true);
    await page.getByLabel("Pairs of texts").fill(Array.from({ length: 300 }, (_, i) => `What is ${i}? | It is ${i}. | Who knows ${i}?`).join("\n"));
    await page.getByRole("button", { name: "Make the vector" }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.locator("dialog").getByText("Cancelled.").waitFor();
    await close(tab);
  });

  test("gives the code of a column in four languages", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    await page.getByRole("button", { name: "Copy as code" }).click();
    for (const [language, code] of [
      ["JavaScript", "`${await gallery.pull(\"tiny-italian\")}:dyn,p=0.5,max=1.5,strong=1.5`"],
      ["Command line", "llama-steer vectors pull tiny-italian"], ["curl", "/v1/completions"], ["Python", "client.completions.create("],
    ] as const) {
      await page.getByText(language, { exact: true }).click();
      expect(await page.getByLabel("Code", { exact: true }).textContent()).toContain(code);
    }
    await close(tab);
  });

  test("asks for the key of a server that wants one, and forgets it with the tab", async () => {
    await using server = await pages!.serve({ apiKeys: ["secret-key"] });
    const tab = await pages!.openAt(server.url);
    const { page } = tab;
    await page.getByLabel("Key", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Key", { exact: true }).fill("secret-key");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.locator(".card").first().waitFor();
    expect(await page.evaluate("[localStorage.length, Object.values(sessionStorage)]")).toEqual([0, ["secret-key"]]);
    await page.reload();
    await page.locator(".card").first().waitFor();
    // The browser's own notes of what was refused.
    tab.faults.splice(0, tab.faults.length, ...tab.faults.filter((fault) => !fault.includes("401")));
    await close(tab);
  });
});
