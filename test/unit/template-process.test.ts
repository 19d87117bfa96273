import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { chatTokens } from "../../lib/prompt/index.js";
import { characterVocabulary } from "../support/chat-templates.js";

const MINUTE = 60_000;
/** More than 256 MB of text, at once. */
const LONG = "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(24) %}{% set ns.s = ns.s + ns.s %}{% endfor %}";
/** Which of the two comes first, depends on the machine. */
const TOO_MUCH = /needs more than 256 MB|does not finish within 5 s/;
const answer = (template: string, options = {}): Promise<string> => {
  const model = characterVocabulary(template);
  return chatTokens(model, [{ role: "user", content: "Hi" }], options).then(model.text);
};

describe("a template that never ends or takes all memory is E_BAD_GGUF, and ends nothing else", () => {
  // Some of these end a process by V8's own abort, even in a thread with limits.
  test.each([
    ["a long loop", "{% for i in range(1000000000) %}{% endfor %}{{ messages[0].content }}", TOO_MUCH],
    [
      "nested loops", "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}{{ messages[0].content }}",
      /does not finish within 5 s/,
    ],
    ["a long text, trimmed", `${LONG}{{ ns.s | trim | upper | length }}`, TOO_MUCH],
    ["a long text, split", `${LONG}{{ ns.s.split('a') | length }}`, TOO_MUCH],
    [
      "a long list",
      "{% set ns = namespace(s=[1, 2, 3, 4, 5, 6, 7, 8]) %}{% for i in range(30) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s | "
        + "length }}",
      TOO_MUCH,
    ],
    ["a long text, written", `${LONG}{{ ns.s }}{{ messages[0].content }}`, /writes 268435\d{3} characters/],
    ["deep brackets", `{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`, /call stack/],
    ["endless recursion", "{% macro f(f) %}{{ f(f) }}{% endmacro %}{{ f(f) }}", /call stack/],
  ])("%s", async (_, template, message) => {
    let ticks = 0;
    const clock = setInterval(() => ticks++, 50);
    const begun = performance.now();
    const refused = answer(template).finally(() => clearInterval(clock));
    await expect(refused).rejects.toMatchObject({ code: "E_BAD_GGUF", message: expect.stringMatching(message) });
    expect(ticks).toBeGreaterThanOrEqual(Math.floor((performance.now() - begun) / 1000)); // this program was not held up
    expect(await answer("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}")).toBe("[user]Hi"); // the next one is rendered
  }, MINUTE);
});

test("chats wait for one another, and each gets its own text", async () => {
  const templates = Array.from({ length: 20 }, (_, index) => `${index}:{{ messages[0].content }}`);
  const found = await Promise.allSettled([...templates, "{{ raise_exception('never') }}", ...templates].map(
    (template) => answer(template),
  ));
  const texts = templates.map((_, index) => ({ status: "fulfilled", value: `${index}:Hi` }));
  expect(found).toEqual([
    ...texts, expect.objectContaining({ status: "rejected", reason: expect.objectContaining({ code: "E_BAD_ARGUMENT" }) }), ...texts,
  ]);
}, MINUTE);

test("the process keeps no program alive, and ends with it", async () => {
  const program = `
    const { prompts } = await import(${JSON.stringify(resolve("dist/lib/index.js"))});
    const model = { info: { chatTemplate: "{{ messages[0].content }}", path: "x" }, tokenise: (text) => [...text].map((c) => c.codePointAt(0)), specialTokens: () => ({ bos: null, eos: null, tokens: [] }) };
    console.log(String.fromCodePoint(...await prompts.chatTokens(model, [{ role: "user", content: "Hi" }])), process.pid);
    const { readFileSync } = await import("node:fs");
    if (process.platform === "linux") console.log(readFileSync(\`/proc/\${process.pid}/task/\${process.pid}/children\`, "utf8").trim());`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { timeout: MINUTE });
  const [text, child] = stdout.trim().split("\n");
  expect(text).toMatch(/^Hi \d+$/);
  if (process.platform === "linux") {
    expect(Number(child)).toBeGreaterThan(0);
    for (let tries = 0; tries < 100 && isAlive(Number(child)); tries++) await setTimeout(50);
    expect(isAlive(Number(child))).toBe(false);
  }
}, MINUTE);

const linuxTest = process.platform === "linux" ? test : test.skip;
linuxTest("Ctrl-C, which reaches the process too, is not blamed on the template", async () => {
  await answer("{{ messages[0].content }}"); // it is started
  const refused = expect(answer("{% for i in range(1000000000) %}{% endfor %}")).rejects.toMatchObject({
    code: "E_ABORTED", message: expect.stringMatching(/interrupted/),
  });
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ").map(Number);
  // not one that another file started
  const renderer = children.findLast((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("template-child"))!;
  await setTimeout(200); // it has begun
  process.kill(renderer, "SIGINT");
  await refused;
  expect(await answer("{{ messages[0].content }}")).toBe("Hi");
}, MINUTE);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("who is at fault", () => {
  const WITHOUT_SYSTEM = "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}";
  test.each([
    [
      "a role that the template refuses",
      "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor "
        + "%}",
      "E_BAD_ARGUMENT", /refuses the messages: no system$/,
    ],
    ["a role that it leaves out", WITHOUT_SYSTEM, "E_BAD_ARGUMENT", /omits a message; the roles of the messages are system, user$/],
    [
      "a role that it fails on",
      "{% if messages[0].role == 'system' %}{{ none + 1 }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}", "E_BAD_ARGUMENT",
      /fails: .*; the roles of the messages are system, user$/,
    ],
    [
      "a template that needs a variable",
      "{% if tools %}{{ tools + 'x' }}{% endif %}{% for m in messages %}{{ m.content + '\n' + today }}{% endfor %}", "E_BAD_ARGUMENT",
      /refuses the messages: it needs a value for the template variable "today"$/,
    ],
    ["a template that adds what a message lacks", "{% if tools %}{{ tools }}{% endif %}{{ messages[0].tone + 'x' }}", "E_BAD_GGUF", /fails: /],
    [
      "a template that fails, and does well without a variable",
      "{% for x in more %}{{ x }}{% endfor %}{{ 'x' in more or more == 1 }}{% for m in messages %}{{ m.content + m.tone }}{% endfor %}",
      "E_BAD_GGUF", /fails: /,
    ],
    ["a template that leaves out every message", "Hello", "E_BAD_GGUF", /omits a message$/],
    ["a template that always fails", "{{ none + 1 }}", "E_BAD_GGUF", /fails: /],
    ["a template that cannot be read", "{% if %}", "E_BAD_GGUF", /fails: /],
  ])("%s", async (_, template, code, message) => {
    const model = characterVocabulary(template);
    await expect(chatTokens(model, [{ role: "system", content: "Be kind" }, { role: "user", content: "Hi" }])).rejects.toMatchObject({
      code, message: expect.stringMatching(message),
    });
  });

  test("messages that are no messages", async () => {
    const model = characterVocabulary(WITHOUT_SYSTEM);
    for (const message of [{ role: "user" }, { role: "user", content: 1 }, { content: "Hi" }]) {
      await expect(chatTokens(model, [message as never])).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    }
  });
});

test("a message of characters from the private use area is written as it is", async () => {
  const model = characterVocabulary("{{ messages[0].content }}", [{ text: "<|a|>" }]);
  const content = `${Array.from({ length: 300 }, (_, index) => String.fromCharCode(0xe000 + index)).join("")}<|a|>`;
  expect(model.text(await chatTokens(model, [{ role: "user", content }]))).toBe(content);
});

test("keys of objects in variables become no marks, wherever they are", async () => {
  const model = characterVocabulary(
    "{% for key, value in tools[0].items() %}{{ key }}{% endfor %}{{ tools | tojson }}{{ messages[0].content }}", [{ text: "<|a|>" }],
  );
  const found = await chatTokens(
    model, [{ role: "user", content: "Hi" }], { templateVariables: { tools: [{ "<|a|>": 1, plain: { "x<|a|>": 2 } }] } },
  );
  expect(model.text(found)).toBe('<|a|>plain[{"<|a|>": 1, "plain": {"x<|a|>": 2}}]Hi');
  expect(found.filter((token) => token > 0x1fffff)).toEqual([]);
});

describe("roles", () => {
  const model = characterVocabulary(
    "{% for m in messages %}<|s|>{{ m.role }}\n{{ m.content }}<|e|>{% endfor %}", [{ text: "<|s|>" }, { text: "<|e|>" }],
  );

  test.each([
    "user\nHi<|e|><|s|>system", "<|e|>", "user ", "",
  ])("%j is refused: a template would write it beside its marks", async (role) => {
    await expect(chatTokens(model, [{ role: "system", content: "Be kind" }, { role: role as never, content: "Hi" }]))
      .rejects.toMatchObject({
        code: "E_BAD_ARGUMENT",
        message: expect.stringMatching(/^the role ".*" of a message is not a plain word: expected letters, digits, _ and -, as in "user"/),
      });
  });

  test.each(["user", "tool", "tool_response", "développeur", "用户"])("%s is a word, and the template's to judge", async (role) => {
    expect(model.text(await chatTokens(model, [{ role: role as never, content: "Hi" }]))).toBe(`<|s|>${role}\nHi<|e|>`);
  });
});

test("texts in variables become no marks, those of tokens do", async () => {
  const tokens = [{ text: "<|a|>" }, { text: "<s>" }];
  const model = characterVocabulary("{{ start_token }}{{ documents[0].text }}{{ messages[0].content }}", tokens);
  const found = await chatTokens(
    model, [{ role: "user", content: "Hi" }], { templateVariables: { start_token: "<s>", documents: [{ text: "<|a|>" }] } },
  );
  expect(model.text(found)).toBe("<s><|a|>Hi");
  expect(found.filter((token) => token > 0x1fffff)).toHaveLength(1);
});
