import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { answers, ask, browsing, close, column, pagesForFile, settled, shades } from "../support/page.js";
import { slowAnswers } from "../support/served.js";

const pages = await pagesForFile();

browsing("the page", () => {
  test("asks three columns at once, shades every token by its alpha, and says what it cost", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    const places = (): Promise<unknown> => page.locator(".column, .how, .transcript, .figures, .charts, .plot").evaluateAll(
      (all) => all.map((each) => JSON.stringify(each.getBoundingClientRect())),
    );
    const before = await places();
    await ask(page);
    expect(await places()).toEqual(before);
    for (const [index, steering] of [[], "tiny-italian:fixed,0.75", "tiny-italian:dyn,p=0.5"].entries()) {
      const { json } = await pages!.ask("POST", "/v1/completions", {
        model: "tiny", prompt: "Q:How do I make a pie?\nA:", stop: ["Q:"], max_tokens: 24, steering, steering_details: true,
      });
      const [choice] = json.choices as [{ text: string; llama_steer: { steps: Array<{ readings: Array<{ alpha: number }> }> } }];
      expect((await answers(page))[index]).toBe(choice.text);
      const alphas = choice.llama_steer.steps.map(({ readings }) => (readings[0]?.alpha ?? 0) / 1.5);
      (await shades(page, index)).forEach((shade, step) => expect(shade).toBeCloseTo(alphas[step]!, 2));
    }
    expect(new Set(await shades(page, 1))).toEqual(new Set([0.5]));
    expect(new Set(await shades(page, 2)).size).toBeGreaterThan(4);
    expect(await page.locator(".figures").allTextContents()).toEqual([
      expect.stringMatching(/^tokens\d+tokens\/s[\d.]+perplexity[\d.]+$/), expect.stringMatching(/perplexity[\d.]+ \([+−][\d.]+\)$/),
      expect.stringMatching(/perplexity[\d.]+ \([+−][\d.]+\)$/),
    ]);
    const chart = page.getByRole("img", { name: /^Alpha per token: 2 Fixed: mean 0\.75, largest 0\.75; 3 Dyn: mean/ });
    expect(await chart.count()).toBe(1);
    await expect(page.locator("[aria-live]").textContent()).resolves.toContain(`Fixed: ${(await answers(page))[1]}`);
    await close(tab);
  });

  test("shows a token's candidates, and continues from another one", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    await ask(page);
    const old = await column(page, 2).locator(".token").allTextContents();
    const details = page.locator(".inspector");
    await column(page, 2).locator(".token").nth(3).hover();
    await details.waitFor();
    expect(await details.textContent()).toMatch(/token 4.*Italian\d\.\d\d\d\.\d\dunsteered \(P\).*fully steered \(S\).*output/);
    await column(page, 2).locator(".token").nth(3).click();
    const other = details.locator(".stream").nth(2).getByRole("button").nth(1);
    await other.click();
    await settled(page);
    const now = await column(page, 2).locator(".token").allTextContents();
    expect(now.slice(0, 3)).toEqual(old.slice(0, 3));
    expect(now[3]).not.toBe(old[3]);
    expect(now.length).toBeGreaterThan(3);
    await close(tab);
  });

  test("is used with the keyboard alone", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    await page.getByLabel("Question").focus();
    await page.keyboard.press("Enter");
    await settled(page);
    await column(page, 1).locator(".tokens").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await page.locator("[aria-live]").textContent()).toMatch(/^\S+: Italian alpha 0\.75, probability \d+ percent$/);
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.closest('.inspector') !== null")).toBe(true);
    await page.keyboard.press("Escape");
    expect(await page.locator(".inspector").count()).toBe(0);
    expect(await page.evaluate("document.activeElement.className")).toBe("tokens");
    await close(tab);
  });

  test("is restored by its address, even without the server's help", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    await page.getByRole("switch", { name: "Formal" }).check();
    await page.getByRole("switch", { name: "Italian" }).uncheck();
    await column(page, 2).getByRole("slider").fill("0.25");
    await page.getByLabel("Schedule of column 1").selectOption("Start");
    await page.getByLabel("Question").fill("Perché?");
    await page.waitForTimeout(400);
    const again = await pages!.openAt(page.url());
    await again.page.locator(".row").nth(2).waitFor();
    expect(await again.page.locator(".row, .kind option:checked").allTextContents())
      .toEqual(["Start", "Formalα1.25", "Fixed", "Formalα1.25", "Dyn", "Formalp0.25"]);
    expect(await again.page.getByLabel("Question").inputValue()).toBe("Perché?");
    await close(again);
    await close(tab);
  });

  test("a link says what of it is not here", async () => {
    const tab = await pages!.open({ model: "lost", uses: [{ id: "gone", layers: "all" }, { id: "one", layers: "all" }], probes: ["mood"] });
    expect(await tab.page.getByRole("alert").textContent()).toBe("This link also uses the model lost, the vector gone, the probe mood, "
      + "which this server does not have for chat. Answers are without it.");
    await close(tab);
  });

  test("saves a comparison as a page of its own and as a picture", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    await ask(page);
    const save = async (name: string): Promise<Buffer> => {
      await page.getByText("Share", { exact: true }).click();
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
      return readFile(await download.path());
    };
    const html = (await save("Save the comparison as HTML")).toString();
    const text = html.replace(/<style>[^]*<\/style>|<[^>]+>/g, "");
    for (const answer of await answers(page)) expect(text).toContain(answer);
    expect(html).not.toContain("<script");
    const png = await save("Save the comparison as PNG");
    expect(png.subarray(1, 4).toString()).toBe("PNG");
    expect([png.readUInt32BE(16), png.length > 20_000]).toEqual([2400, true]);
    await close(tab);
  });

  test("goes on with a chat, each column with its own answers; a slider moves the running answer", async () => {
    const tab = await pages!.open({ model: "chat", uses: [{ id: "one", layers: "all" }], maxTokens: 6, prompt: "Hello" });
    const { page } = tab;
    await ask(page);
    const sent: Array<{ messages: Array<{ content: string }> }> = [];
    using _slow = slowAnswers();
    // An answer that does not end before the slider has been moved.
    await page.route("**/v1/chat/completions", (route, request) => {
      sent.push(request.postDataJSON());
      return route.continue({ postData: { ...request.postDataJSON(), grammar: "root ::= [a-z ]{1500}" } });
    });
    const first = await answers(page);
    await page.getByRole("button", { name: "Options" }).or(page.getByText("Options")).first().click();
    await page.getByLabel("Tokens at most").fill("400");
    await page.getByLabel("Tokens at most").press("Tab");
    await page.getByLabel("Question").fill("And then?");
    await page.getByLabel("Question").press("Enter");
    await column(page, 1).locator(".turn:last-child .token").nth(5).waitFor();
    await column(page, 1).getByRole("slider").fill("3");
    await column(page, 1).locator(".turn:last-child .token[style*='1.000']").nth(3).waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("button", { name: "Ask", exact: true }).waitFor();
    expect(sent.map(({ messages }) => messages.map(({ content }) => content))).toEqual(first.map((text) => ["Hello", text, "And then?"]));
    const own = await shades(page, 1);
    expect(own[0]).toBeLessThan(own.at(-1)!);
    await close(tab);
  }, 180_000);
});
