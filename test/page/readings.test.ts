import { expect, test } from "@jest/globals";
import { loadModel } from "../../lib/index.js";
import { probe } from "../../lib/experiments.js";
import { answers, ask, browsing, close, column, eventually, pagesForFile, settled } from "../support/page.js";
import { randomProbe } from "../support/probes.js";
import { LOAD } from "../support/served.js";
import { violations } from "../support/browser.js";

const pages = await pagesForFile();

browsing("the page", () => {
  test("shows what an uploaded probe reads of every token, in the details and as a chart", async () => {
    const model = await loadModel(pages!.space.path("chat.gguf"), LOAD);
    await probe.save(pages!.space.path("mood.safetensors"), await randomProbe(model, 3));
    model.dispose();
    const tab = await pages!.open({ model: "chat", uses: [{ id: "one", layers: "all" }], maxTokens: 6, prompt: "How can I stay healthy?" });
    const { page } = tab;
    await page.locator("input[type=file]").setInputFiles(pages!.space.path("mood.safetensors"));
    const card = page.locator(".card").filter({ hasText: "reads layer" });
    await card.waitFor();
    expect(await card.getByRole("switch").isChecked()).toBe(true);
    await ask(page);
    const id = (JSON.parse(Buffer.from(new URL(page.url()).hash.slice(3), "base64url").toString()) as { probes: [string] }).probes[0];
    const { json } = await pages!.ask("POST", "/v1/chat/completions", {
      model: "chat", messages: [{ role: "user", content: "How can I stay healthy?" }], max_tokens: 6, monitor: [id], steering_details: true,
      steering: "one:fixed,1",
    });
    const { steps } = (json.choices as [{ llama_steer: { steps: Array<{ monitors: [number] }> } }])[0].llama_steer;
    await column(page, 1).locator(".token").nth(1).hover();
    const share = Math.round(steps[1]!.monitors[0] * 100);
    expect(await page.locator(".inspector").textContent()).toMatch(new RegExp(`probeprobabilityRandom 3${share}(\\.\\d)? %`));
    const mean = steps.reduce((sum, { monitors: [value] }) => sum + value, 0) / steps.length;
    const chart = page.getByRole("img", { name: new RegExp(`^Probes per token: 1 Unsteered: mean .*; 2 Fixed: mean ${mean.toFixed(2)}`) });
    expect(await chart.count()).toBe(1);
    expect(await violations(page)).toEqual([]);
    await card.getByRole("switch").uncheck();
    await page.getByRole("button", { name: "Ask again" }).click();
    await settled(page);
    await column(page, 1).locator(".turn:last-child .token").nth(1).hover();
    expect(await page.locator(".inspector").textContent()).not.toContain("probe");
    await close(tab);
  });

  test("has a column that asks for the property in words, in place of steering", async () => {
    const kinds = ["none", "prompted", "fixed"].map((kind) => ({ kind, rows: {} }));
    const tab = await pages!.open({ columns: kinds });
    const { page } = tab;
    const sent: Array<{ prompt: string; steering: unknown[]; continuation?: unknown }> = [];
    page.on("request", (request) => { if (request.method() === "POST") sent.push(request.postDataJSON()); });
    const request = page.getByLabel("System message of column 2");
    expect(await request.inputValue()).toBe("You are someone who answers in Italian.");
    await ask(page);
    const [asked, scored] = [sent.filter((body) => !("continuation" in body)), sent.filter((body) => "continuation" in body)];
    const plain = "Q:How do I make a pie?\nA:";
    expect(asked.map(({ prompt }) => prompt)).toEqual([plain, `You are someone who answers in Italian.\n\n${plain}`, plain]);
    expect(asked.map(({ steering }) => steering.length)).toEqual([0, 0, 1]);
    // What an answer costs is measured alike: after the question alone.
    expect(scored.map(({ prompt }) => prompt)).toEqual([plain, plain, plain]);
    expect((await page.locator(".figures").allTextContents())[1]).toMatch(/perplexity[\d.]+ \([+−][\d.]+\)$/);
    expect(await column(page, 1).getAttribute("aria-label")).toBe("Column 2: Prompted");
    expect(new Set(await answers(page)).size).toBe(3);
    expect(await violations(page)).toEqual([]);

    await request.fill("Be brief.");
    await request.blur();
    await page.waitForTimeout(400);
    const again = await pages!.openAt(page.url());
    await again.page.locator(".request").waitFor();
    expect(await again.page.getByLabel("System message of column 2").inputValue()).toBe("Be brief.");
    await again.page.getByLabel("System message of column 2").fill("");
    await again.page.getByLabel("System message of column 2").blur();
    expect(await again.page.getByLabel("System message of column 2").inputValue()).toBe("You are someone who answers in Italian.");
    await close(again);
    await close(tab);
  });

  test("scores an answer after the system message that it had, not after one that was written since", async () => {
    const tab = await pages!.open({ maxTokens: 2, system: "Be kind." });
    const { page } = tab;
    const scored: string[] = [];
    page.on("request", (request) => { if (request.url().endsWith("/v1/score")) scored.push(request.postDataJSON().prompt); });
    let answer = (): void => undefined;
    const isChanged = new Promise<void>((resolve) => { answer = resolve; });
    await page.route("**/v1/completions", (route) => isChanged.then(() => route.continue()));
    await page.getByRole("button", { name: "Ask", exact: true }).click();
    await page.getByText("Options").click();
    await page.getByLabel("System message", { exact: true }).fill("Be rude.");
    await page.getByLabel("System message", { exact: true }).blur();
    answer();
    await settled(page);
    expect(scored).toEqual(Array(3).fill("Be kind.\n\nQ:How do I make a pie?\nA:"));
    await close(tab);
  });

  test("lays out each paragraph of an answer by itself, as one text", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    await page.route("**/v1/completions", (route, request) => (
      route.continue({ postData: { ...request.postDataJSON(), grammar: 'root ::= "one\\ntwo\\n\\nthree four"' } })
    ));
    await ask(page);
    const text = column(page, 0).locator(".tokens");
    expect(await text.locator(".paragraph").allTextContents()).toEqual(["one\n", "two\n", "\n", "three four"]);
    const copied = (select: string): Promise<unknown> => page.evaluate(`(() => {
      const box = document.querySelector(".tokens");
      document.getSelection().${select};
      const event = new ClipboardEvent("copy", { clipboardData: new DataTransfer(), bubbles: true, cancelable: true });
      box.dispatchEvent(event);
      return [event.clipboardData.getData("text/plain"), event.defaultPrevented];
    })()`);
    expect(await copied("selectAllChildren(box)")).toEqual(["one\ntwo\n\nthree four", true]);
    expect(await copied("collapse(box.querySelector('.token').firstChild, 1)")).toEqual(["", false]); // as after a click
    // Four lines, as without paragraphs.
    const { height } = (await text.boundingBox())!;
    expect(height / (16 * 1.72)).toBeCloseTo(4, 1);
    await close(tab);
  });

  test("splits a long paragraph where a line begins, so that nothing moves, at any width", async () => {
    const tab = await pages!.open();
    const { page } = tab;
    const chunk = (step: number): string => {
      const text = ` ${["a", "broken", "on", "understanding", "w".repeat(step === 40 ? 90 : 4), "is"][(step * step + step) % 6]!}`;
      const details = { step, id: 1, token: text, phase: "answer", logprob: -1, readings: [{ alpha: 1, kl: null }] };
      return `data: ${JSON.stringify({ id: "cmpl-1", choices: [{ index: 0, text, steering_details: details }] })}\n\n`;
    };
    const body = `${Array.from({ length: 400 }, (_, step) => chunk(step)).join("")}data: [DONE]\n\n`;
    await page.route("**/v1/completions", (route) => route.fulfill({ contentType: "text/event-stream", body }));
    await ask(page);
    const text = column(page, 1).locator(".tokens");
    const nBlocks = (): Promise<number> => text.locator(".paragraph").count();
    const places = (): Promise<number[]> => text.locator(".token").evaluateAll((all) => (all as unknown as Placed[]).flatMap((token) => {
      const { left, bottom } = [...token.getClientRects()].at(-1)!;
      return [left, bottom];
    }));
    for (const width of [1440, 1300, 1100]) {
      const before = await places();
      await page.setViewportSize({ width, height: 900 });
      if (width !== 1440) await eventually(async () => expect(await places()).not.toEqual(before));
      await eventually(async () => {
        expect(await nBlocks()).toBe(2);
        const split = await places();
        await page.evaluate(`(() => {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync(".paragraph { display: inline } .paragraph .token:first-child { white-space: inherit !important }");
          document.adoptedStyleSheets = [sheet];
        })()`);
        const whole = await places();
        await page.evaluate("document.adoptedStyleSheets = []");
        expect(Math.max(...whole.map((place, at) => Math.abs(place - split[at]!)))).toBeLessThan(0.1); // pixels
      });
    }
    await close(tab);
  });
});

interface Placed {
  getClientRects(): Iterable<{ left: number; bottom: number }>;
}
