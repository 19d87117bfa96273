import { readFile } from "node:fs/promises";
import { beforeAll, expect, test } from "@jest/globals";
import { probe } from "../../lib/experiments.js";
import { loadModel } from "../../lib/index.js";
import type { SteeringSpec } from "../../lib/steering/index.js";
import { violations } from "../support/browser.js";
import { answers, ask, browsing, close, column, eventually, pagesForFile, shades } from "../support/page.js";
import { randomProbe } from "../support/probes.js";
import { LOAD, slowAnswers } from "../support/served.js";

const pages = await pagesForFile();

interface Step {
  readings: [{ alpha: number; kl: number | null; gate?: { probability: number; value: number } }];
}

interface Sized {
  scrollHeight: number;
  clientHeight: number;
}

/** Probes of `chat` in the server's folder, which read layers 0, 1 and 3: the vectors `one` and `two` have all four layers. */
async function saveProbes(): Promise<void> {
  const model = await loadModel(pages!.space.path("chat.gguf"), LOAD);
  for (const layer of [0, 1, 3]) {
    const read = await randomProbe(model, 1, { layer, scale: 4 });
    await probe.save(pages!.space.path(`vectors/at${layer}.safetensors`), { ...read, provenance: { ...read.provenance, property: `at${layer}` } });
  }
  model.dispose();
}

/** What the server says of the same request. */
async function askedAlone(steering: unknown): Promise<{ text: string; steps: Step[]; specs: SteeringSpec[] }> {
  const { json } = await pages!.ask("POST", "/v1/chat/completions", {
    model: "chat", messages: [{ role: "user", content: "Hello" }], max_tokens: 10, steering, steering_details: true,
  });
  return { text: json.choices[0].message.content, steps: json.choices[0].llama_steer.steps, specs: json.steering };
}

const OF_CHAT = { model: "chat", uses: [{ id: "one", layers: "all" }], maxTokens: 10, prompt: "Hello" };

browsing("the page", () => {
  beforeAll(saveProbes);

  test("gates, ablates and selects from a vector's card, shows what the gate read, and leaves it out in a column", async () => {
    const columns = ["none", "fixed", "fixed"].map((kind) => ({ kind, rows: {} }));
    const tab = await pages!.open({ ...OF_CHAT, columns });
    const { page } = tab;
    const card = page.locator(".card").filter({ hasText: "Random 1" });
    expect(await card.getByLabel("What to do").isVisible()).toBe(false);
    await card.getByText("How and when").click();
    await card.getByLabel("What to do").selectOption("Remove it");
    await card.getByLabel("Keep the norm").check();
    // One that reads too late for the vector is refused before anything is asked.
    await card.getByLabel("Only when a probe sees").selectOption("At3");
    await card.locator(".problem").filter({ hasText: "reads head_out of layer 3" }).waitFor();
    await card.getByLabel("Only when a probe sees").selectOption("At0");
    await card.locator(".problem:empty").waitFor({ state: "attached" });
    await card.getByLabel("Threshold").fill("0.6");
    await card.getByLabel("Once open, until below").fill("0.25");
    await card.getByLabel("From token").fill("2");
    await card.getByLabel("To token").fill("9");
    await card.getByLabel("To token").press("Tab");
    expect(await card.locator(".used").textContent()).toBe("ablated, norm kept, when At0 ≥ 0.6 until 0.25, tokens 2 to 9");
    expect(await violations(page)).toEqual([]);
    const chip = column(page, 2).getByRole("button", { pressed: true });
    expect(await chip.textContent()).toBe("ablated, norm kept, when At0 ≥ 0.6 until 0.25, tokens 2 to 9");
    await chip.click();
    await ask(page);

    const how = { operator: "ablate", keepNorm: true, gate: { probe: "at0", above: 0.6, until: 0.25 }, only: { from: 1, to: 9 } };
    const gated = await askedAlone([{ vector: "one", schedule: { kind: "fixed", alpha: 1 }, ...how }]);
    const plain = await askedAlone("one:fixed,1");
    expect((await answers(page)).slice(1)).toEqual([gated.text, plain.text]);
    expect(await shades(page, 1)).toEqual(gated.steps.map(({ readings: [{ alpha }] }) => alpha));
    const states = gated.steps.flatMap(({ readings: [{ gate }] }) => (gate ? [gate.value] : []));
    expect(new Set(states)).toEqual(new Set([0, 1]));
    for (const value of [0, 1]) {
      const at = gated.steps.findIndex(({ readings: [{ gate }] }) => gate?.value === value);
      await column(page, 1).locator(".token").nth(at).click();
      const read = gated.steps[at]!.readings[0].gate!.probability;
      const percent = read < 0.1 ? (read * 100).toFixed(1) : String(Math.round(read * 100));
      expect(await page.locator(".inspector .readings").textContent())
        .toBe(`propertyalphaKL (nats)gateRandom 1${value.toFixed(2)}–At0: ${value === 0 ? "shut" : "open"}, ${percent} %`);
      await page.keyboard.press("Escape");
    }
    await column(page, 1).locator(".tokens").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await page.locator("[aria-live]").textContent()).toMatch(/: Random 1 alpha \d\.\d\d, gate (open|shut), [\d.]+ percent, probability/);
    await page.keyboard.press("Escape");
    await page.getByText("Share", { exact: true }).click();
    const [download] = await Promise.all([
      page.waitForEvent("download"), page.getByRole("button", { name: "Save the comparison as HTML" }).click(),
    ]);
    const html = (await readFile(await download.path())).toString();
    expect(html).toContain("Random 1: alpha 1, ablated, norm kept, when At0 ≥ 0.6 until 0.25, tokens 2 to 9<");
    expect(html).toContain("Random 1: alpha 1<");
    expect(html).toMatch(/title="alpha 1\.00, gate open, \d+ %, probability/);
    const chart = page.getByRole("img", { name: /^Probes per token: 2 Fixed: mean 0\.\d\d, largest [01]\.\d\d$/ });
    expect(await chart.count()).toBe(1);
    expect(await page.locator(".keys").last().textContent()).toBe("2 Fixedthreshold 0.6");

    await page.waitForTimeout(400);
    const again = await pages!.openAt(page.url());
    await again.page.locator(".used").waitFor();
    expect(await again.page.locator(".column .chip").evaluateAll((all) => all.map((each) => each.getAttribute("aria-pressed"))))
      .toEqual(["true", "false"]);
    await again.page.getByRole("button", { name: "Copy as code" }).click();
    await again.page.getByText("Column 2", { exact: true }).click();
    for (const [language, code] of [
      ["JavaScript", '"one.safetensors:fixed,1,op=ablate,norm=keep,at=1-9,when=at0.safetensors>0.6,until=0.25"'],
      ["curl", '"probe": "at0"'], ["Python", '"keepNorm": True'],
    ] as const) {
      await again.page.getByText(language, { exact: true }).click();
      expect(await again.page.getByLabel("Code", { exact: true }).textContent()).toContain(code);
    }
    await close(again);
    await close(tab);
  });

  test("says so when the probe of a gate is deleted", async () => {
    const how = { gate: { probe: "at1", above: 0.5 } };
    const tab = await pages!.open({ ...OF_CHAT, uses: [{ id: "one", layers: "2-3", how }] });
    const { page } = tab;
    const problem = page.locator(".card").filter({ hasText: "Random 1" }).locator(".problem").first();
    await page.waitForResponse("**/v1/steering/validate");
    expect(await problem.textContent()).toBe("");
    const ofProbe = page.locator(".card").filter({ hasText: "reads layer 1 " });
    await ofProbe.getByRole("button", { name: "Delete …" }).click();
    await ofProbe.getByRole("button", { name: "Delete the file" }).click();
    await problem.filter({ hasText: "at1" }).waitFor();
    await close(tab);
  });

  test("shows only the fields that apply", async () => {
    const gate = { probe: "at0", above: 0.5, shape: "smooth", until: 0.25 };
    const tab = await pages!.open({ ...OF_CHAT, uses: [{ id: "one", layers: "all", how: { gate } }] });
    const { page } = tab;
    const card = page.locator(".card").filter({ hasText: "Random 1" });
    await card.getByText("How and when").click();
    await card.getByLabel("Read at").selectOption("the prompt");
    expect(await card.getByLabel("Once open").count()).toBe(0);
    await card.getByLabel("What to do").selectOption("Limit it");
    expect(await card.getByLabel("Opens").count()).toBe(0);
    expect(await card.locator(".used").textContent()).toBe("clamped, when At0 ≥ 0.5, after the prompt");
    // A clamp's alpha cannot be measured.
    const schedule = column(page, 2).getByLabel("Schedule of Random 1");
    expect([await schedule.inputValue(), await schedule.locator("option").allTextContents()])
      .toEqual(["fixed", ["Fixed", "Start", "Diminishing", "Window"]]);
    await card.getByLabel("Only when a probe sees").selectOption("no probe: always");
    expect(await card.getByLabel("Threshold").count()).toBe(0);
    await ask(page);
    const { text } = await askedAlone("one:fixed,1,op=clamp");
    expect((await answers(page)).slice(1)).toEqual([text, text]);
    await close(tab);
  });

  test("spends a budget, says what is left of it, and changes it while the answer is written", async () => {
    const columns = [
      { kind: "fixed", rows: {} }, { kind: "budget", rows: {} }, { kind: "budget", rows: { one: { per: "answer", nats: 2 } } },
    ];
    const tab = await pages!.open({ ...OF_CHAT, columns, uses: [{ id: "one", layers: "all", how: { only: { from: 0 } } }] });
    const { page } = tab;
    await column(page, 1).getByRole("slider").fill("1");
    for (const [per, nats] of [["per answer", "10"], ["per token", "0.5"]] as const) {
      await column(page, 1).getByLabel("What the budget of Random 1 is for").selectOption(per);
      expect(await column(page, 1).getByRole("slider").inputValue()).toBe(nats);
    }
    await column(page, 1).getByRole("slider").fill("0.2");
    await column(page, 1).getByLabel("Largest alpha of Random 1").fill("1.5");
    await column(page, 1).getByLabel("Largest alpha of Random 1").press("Tab");
    await ask(page);
    const perToken = await askedAlone("one:budget,0.2,max=1.5");
    const perAnswer = await askedAlone("one:budget,2,per=answer");
    expect((await answers(page)).slice(1)).toEqual([perToken.text, perAnswer.text]);
    const kls = ({ steps }: { steps: Step[] }): number[] => steps.map(({ readings: [{ kl }] }) => kl!);
    const sum = (all: number[]): number => all.reduce((total, each) => total + each, 0);
    const spent = sum(kls(perAnswer));
    expect(spent).toBeGreaterThan(0.2);
    const figures = await page.locator(".figures").allTextContents();
    expect(figures[0]).not.toContain("nats spent");
    expect(figures[1]).toContain(`nats spent${(sum(kls(perToken)) / 10).toFixed(2)} / token`);
    expect(figures[2]).toContain(`nats spent${spent.toFixed(1)} of 2`);
    await column(page, 2).locator(".token").nth(4).hover();
    await page.locator(".inspector").waitFor();
    const { alpha, kl } = perAnswer.steps[4]!.readings[0];
    const left = 2 - sum(kls(perAnswer).slice(0, 5));
    expect(await page.locator(".inspector .readings").textContent())
      .toBe(`propertyalphaKL (nats)left to spendRandom 1${alpha.toFixed(2)}${kl!.toFixed(2)}${left.toFixed(2)}`);
    await page.setViewportSize({ width: 1440, height: 640 });
    const hidden = await page.locator(".how").evaluateAll((all) => (
      (all as unknown as Sized[]).map(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)));
    expect(hidden).toEqual([0, 0, 0]);

    // A budget for an answer that is being written.
    using _slow = slowAnswers();
    await page.route("**/v1/chat/completions", (route, request) => (
      route.continue({ postData: { ...request.postDataJSON(), max_tokens: 300, grammar: "root ::= [a-z ]{1500}" } })
    ));
    await page.getByRole("button", { name: "Ask again" }).click();
    const running = column(page, 0).locator(".turn:last-child .token");
    await running.nth(3).waitFor();
    await page.getByLabel("Schedule of column 1").selectOption("Budget");
    await page.mouse.move(5, 5); // otherwise details close as the words move away from the pointer
    // What is read of the newest token.
    const newest = async (index: number): Promise<string> => {
      await column(page, index).locator(".turn:last-child .token").first().waitFor(); // End finds nothing before
      await column(page, index).locator(".turn:last-child .tokens").focus();
      await page.keyboard.press("End");
      return (await page.locator(".inspector .readings").textContent({ timeout: 1000 }))!; // a word that goes takes it along
    };
    const until = (index: number, wanted: RegExp): Promise<void> => eventually(async () => expect(await newest(index)).toMatch(wanted));
    await until(0, /\d\.\d\d\d+\.\d\d$/); // an alpha, and a KL where a fixed alpha has none
    // A budget that was moved begins anew: nobody can know from outside when.
    await until(2, /left to spend/);
    await column(page, 2).getByRole("slider").fill("4");
    await until(2, /^propertyalphaKL \(nats\)Random/);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("button", { name: "Ask", exact: true }).waitFor();
    await close(tab);
  }, 180_000);
});
