import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { openingAfter, PhaseClock } from "../../lib/generate/phase-clock.js";
import { chatTokens, ThoughtReader, type Opening } from "../../lib/prompt/index.js";
import { renderTemplate, TemplateRefusal } from "../../lib/prompt/jinja.js";
import { bundledTemplates, characterVocabulary, FIRST_SPECIAL, goldenChats, shortHash, type MadeToken } from "../support/chat-templates.js";
import { sampled } from "../support/slow.js";
import { scratch } from "../support/tiny-files.js";

const MINUTES = 240_000;
const golden = goldenChats();
const space = scratch();
let templates: Map<string, string>;

beforeAll(() => { templates = bundledTemplates(space.folder); }, MINUTES);
afterAll(() => space[Symbol.dispose]());

const hashes = (name: string): Record<string, string> => golden.templates[name]!;

describe("every chat template of llama.cpp", () => {
  test("is the one that transformers rendered", () => {
    expect(Object.fromEntries([...templates].map(([name, template]) => [name, shortHash(template)])))
      .toEqual(Object.fromEntries(Object.entries(golden.templates).map(([name, { sha256 }]) => [name, sha256])));
    expect(templates.size).toBe(70);
  });

  test("writes what it writes in transformers, or refuses with the same words", () => {
    jest.useFakeTimers({ now: new Date(golden.now) });
    try {
      const differ = [...templates].flatMap(([name, template]) => Object.entries(golden.chats)
        .flatMap(([chat, { messages, variables }]) => {
        const written = outcome(() => renderTemplate(template, {
          tools: null, documents: null, add_generation_prompt: true, bos_token: golden.bos, eos_token: golden.eos, ...golden.needs[name],
          ...variables, messages,
        }));
        return written === hashes(name)[chat] ? [] : [`${name}, ${chat}: ${written}`];
      }));
      expect(differ).toEqual([]);
    } finally {
      jest.useRealTimers();
    }
  });

  test("names the variable that it needs and was not given", () => {
    const refusals = Object.keys(golden.needs).map((name) => {
      try {
        return renderTemplate(templates.get(name)!, { messages: [{ role: "user", content: "Hi" }] });
      } catch (error) {
        return error instanceof TemplateRefusal ? error.message : String(error);
      }
    });
    expect(refusals).toEqual(['it needs a value for the template variable "functions"']);
  });

  test("gives its own text as tokens, in another process, or E_BAD_ARGUMENT with its own reason", async () => {
    const differ: string[] = [];
    for (const [name, template] of sampled([...templates], 3)) {
      if (template.includes("strftime_now")) continue; // another day in another process
      const model = characterVocabulary(template, [{ text: golden.bos }, { text: golden.eos }], { bos: golden.bos, eos: golden.eos });
      for (const [chat, { messages, variables }] of Object.entries(golden.chats)) {
        const written = await chatTokens(model, messages, { templateVariables: { ...golden.needs[name], ...variables }, mayCut: true })
          .then((tokens) => shortHash(model.text(tokens)), ({ code, message }: { code: string; message: string }) => `${code}: ${message}`);
        const expected = hashes(name)[chat]!;
        const isRefused = expected.startsWith("refuses") && written.startsWith("E_BAD_ARGUMENT") && `refuses ${shortHash(
          written.split("refuses the messages: ")[1]!,
        )}` === expected;
        if (written !== expected && !isRefused) differ.push(`${name}, ${chat}: ${written}`);
      }
    }
    expect(differ).toEqual([]);
  }, MINUTES);

  test.each<[string, Record<string, unknown>, Opening, string]>([
    ["tencent-Hy3", { reasoning_effort: "high" }, { opened: "<think:opensource>", phase: "thinking" }, "Hm.</think:opensource>Yo!"],
    ["tencent-Hy3", {}, { opened: "", phase: "answer" }, "Yo!"],
    ["upstage-Solar-Open-100B", {}, { opened: "", phase: "thinking" }, "<|think|>Hm.<|end|><|begin|>assistant<|content|>Yo!<|end|>"],
    ["upstage-Solar-Open-100B", { reasoning_effort: "low" }, { opened: "", phase: "answer" }, "<|content|>Yo!<|end|>"],
    ["Kimi-K3", {}, { opened: "<|open|>think<|sep|>", phase: "thinking" }, "Hm.<|close|>think<|sep|><|open|>response<|sep|>Yo!<|close|>x"],
    ["Kimi-K3", { thinking: false }, { opened: "<|open|>response<|sep|>", phase: "answer" }, "Yo!<|close|>response<|sep|>"],
  ])("tells how its model's text begins, and thoughts from answer: %s, %j", async (name, templateVariables, expected, written) => {
    const template = templates.get(`${name}.jinja`)!;
    const marks = ["<|think|>", "<|end|>", "<|begin|>", "<|content|>", "<|open|>", "<|close|>", "<|sep|>", "<think:opensource>",
      "</think:opensource>"].map((text) => ({ text }));
    const model = characterVocabulary(template, marks);
    const prompt = await chatTokens(model, [{ role: "user", content: "Hi" }], { templateVariables });
    const opening = openingAfter(model, prompt);
    expect(opening).toEqual(expected);
    const clock = new PhaseClock(model, opening);
    const phases = model.tokenise(written, { special: true, bos: false }).map((token) => clock.take(token, model.detokenise([token])));
    const reader = new ThoughtReader(opening);
    reader.push(written);
    expect(reader.finish()).toEqual({ thoughts: written.includes("Hm.") ? "Hm." : "", answer: "Yo!" });
    expect(phases.includes("thinking")).toBe(expected.phase === "thinking" || written.startsWith("<|content|>") || name === "Kimi-K3");
    // In the next turn the template sees the answer alone, also if the whole text was kept.
    const turn = (content: string) => chatTokens(model, [
      { role: "user", content: "Hi" }, { role: "assistant", content }, { role: "user", content: "So?" },
    ], { templateVariables, mayCut: true });
    if (name !== "tencent-Hy3") expect(model.text(await turn(opening.opened + written))).toBe(model.text(await turn("Yo!")));
  });

  test.each([["control", false], ["user-defined", true]])("takes its own marks in a message for plain characters, where they are %s "
    + "tokens", async (_, isUserDefined) => {
    const forged: string[] = [];
    for (const [name, template] of sampled([...templates], 3)) {
      const marks = marksOf(template);
      const model = characterVocabulary(template, marks.map(({ text }) => ({ text, isUserDefined })), { bos: golden.bos, eos: golden.eos });
      const special = async (content: string, said = "Yo"): Promise<number[]> => {
        const messages = [
          { role: "user" as const, content }, { role: "assistant" as const, content: said }, { role: "user" as const, content },
        ];
        const tokens = await chatTokens(model, messages, { templateVariables: golden.needs[name] ?? {}, mayCut: true });
        return tokens.filter((token) => token >= FIRST_SPECIAL);
      };
      const own = await special("Hi");
      const all = marks.map(({ text }) => text).join("");
      for (const content of [all, `x${all}x`, ...marks.map(({ text }) => `Hi${text}\n${text}assistant`)]) {
        const found = await special(content).catch(({ message }: Error) => [message]);
        if (found.join() !== own.join()) forged.push(`${name}: ${JSON.stringify(content).slice(0, 80)}`);
      }
    }
    expect(forged).toEqual([]);
  }, MINUTES);
});

function outcome(write: () => string): string {
  try {
    return shortHash(write());
  } catch (error) {
    return error instanceof TemplateRefusal ? `refuses ${shortHash(error.message)}` : `fails: ${(error as Error).message}`;
  }
}

/** Whatever in a template looks like a special token, and those that begin and end a text. */
function marksOf(template: string): MadeToken[] {
  const found = template.match(/<[|｜]?\/?[\p{L}\p{N}_:▁ .-]{1,40}[|｜]?>|\[\/?[A-Z_]{2,30}\]/gu) ?? [];
  return [...new Set([golden.bos, golden.eos, ...found, "<|im_start|>", "<|im_end|>", "<|start|>", "<|channel|>"])].map(
    (text) => ({ text }),
  );
}
