import { describe, expect, test } from "@jest/globals";
import { comparisonHtml } from "../../lib/page/logic/comparison.js";
import { codeOf, LANGUAGES } from "../../lib/page/logic/copy.js";
import { parsePairs } from "../../lib/page/logic/pairs.js";
import { proposedSystem, systemOf } from "../../lib/page/logic/prompted.js";
import { conversation, requestBody } from "../../lib/page/logic/request.js";
import { decodeSetting, defaultSetting, encodeSetting, type Setting } from "../../lib/page/logic/setting.js";
import { EventReader, eventsOf } from "../../lib/page/logic/sse.js";
import { layersText, parseLayers } from "../../lib/page/logic/shorthand.js";
import { fullAlpha, steeringOf, titleOf } from "../../lib/page/logic/steering.js";
import { columnTitle } from "../../lib/page/logic/titles.js";
import { chatRequestSchema, completionRequestSchema, type VectorEntry } from "../../lib/server/schemas/index.js";
import { steeringSpecSchema } from "../../lib/steering/index.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** An entry of `GET /v1/vectors`, of which the page reads only some fields. */
function entry(id: string, alpha: number, fields: Partial<VectorEntry> = {}): [string, VectorEntry] {
  const steering = steeringSpecSchema.parse({ vector: id, schedule: { kind: "fixed", alpha } });
  const dynamic = { strongAlpha: 2 * alpha, alphaMax: 2 * alpha };
  return [id, {
    id, steering, dynamic, property: "formal vs informal", source: "folder", layers: [0, 1, 2], ...fields,
  } as VectorEntry];
}
const ENTRIES = new Map([entry("formal", 1.5), entry("italian", 0.75)]);
const using = (...ids: string[]): Setting => ({ ...defaultSetting(), uses: ids.map((id) => ({ id, layers: "all" })) });

describe("server-sent events", () => {
  const TEXT = "data: {\"a\":\"è ☕\"}\n\n: comment\n\ndata: one\ndata: two\n\nevent: x\r\ndata: three\r\n\r\ndata: rest";

  test.each([1, 2, 3, 7, 1000])("in pieces of %i bytes are read as in one", (size) => {
    const whole = bytes(TEXT);
    const reader = new EventReader();
    const events: string[] = [];
    for (let at = 0; at < whole.length; at += size) events.push(...reader.read(whole.subarray(at, at + size)));
    expect(events).toEqual(["{\"a\":\"è ☕\"}", "one\ntwo", "three"]);
  });

  test("end with [DONE], and the connection is given up", async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (to) => to.enqueue(bytes("data: 1\n\ndata: [DONE]\n\ndata: 2\n\n")), cancel: () => { cancelled = true; },
    });
    const events: string[] = [];
    for await (const event of eventsOf(body)) events.push(event);
    expect(events).toEqual(["1"]);
    expect(cancelled).toBe(true);
  });

  test("a connection that breaks is reported in words, after the events before it", async () => {
    const pieces = [bytes("data: 1\n\n")];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = pieces.shift();
        if (piece) controller.enqueue(piece);
        else controller.error(new TypeError("network error"));
      },
    });
    const events: string[] = [];
    await expect((async () => {
      for await (const event of eventsOf(body)) events.push(event);
    })()).rejects.toThrow("The connection to the server was lost.");
    expect(events).toEqual(["1"]);
  });
});

describe("a permalink", () => {
  const SETTING: Setting = {
    model: "tiny", prompt: "Perché? 🍂\n#&=", system: "Be brief.", maxTokens: 33, temperature: 0.7,
    uses: [{ id: "formal", layers: "0-1", how: {
      operator: "ablate", keepNorm: true, gate: { probe: "mood", below: 0.4, until: 0.6, shape: "smooth" }, only: { from: 2, since: "x" },
    } }], probes: ["mood"],
    columns: [
      { kind: "prompted", rows: {}, system: "Be formal." },
      { kind: "start", rows: { formal: { on: false, kind: "window", alpha: -2, topP: 0.3, from: 1, to: 4 } } },
      { kind: "budget", rows: { formal: { nats: 7, per: "answer", alphaMax: 1.5, isPlain: true } } },
    ],
  };

  test("restores the whole setting", () => {
    expect(encodeSetting(SETTING)).toMatch(/^s=[\w-]+$/);
    expect(decodeSetting(`#${encodeSetting(SETTING)}`)).toEqual(SETTING);
  });

  test("leaves out rows of vectors that are off", () => {
    const rows = { formal: SETTING.columns[1]!.rows["formal"]!, gone: SETTING.columns[1]!.rows["formal"]! };
    const decoded = decodeSetting(encodeSetting({ ...SETTING, columns: SETTING.columns.map((column) => ({ ...column, rows })) }));
    expect(decoded!.columns.map(({ rows: kept }) => Object.keys(kept))).toEqual([["formal"], ["formal"], ["formal"]]);
  });

  const encoded = (json: unknown): string => `#s=${Buffer.from(JSON.stringify(json)).toString("base64url")}`;

  test.each(["", "#other", "#s=", "#s=%%%", "#s=abc", `#s=${Buffer.from([0xff, 0xfe]).toString("base64url")}`, encoded([1]), encoded("x")])(
    "that is none is ignored: %j", (hash) => expect(decodeSetting(hash)).toBeUndefined(),
  );

  test("restores the alphas that a slider of any calibrated vector can have", () => {
    const row = { alpha: 240, alphaMax: 480 };
    const setting = { ...SETTING, columns: SETTING.columns.map((column) => ({ ...column, rows: { formal: row } })) };
    expect(decodeSetting(encodeSetting(setting))!.columns.map(({ rows }) => rows)).toEqual(Array(3).fill({ formal: row }));
  });

  test("with values out of range has the defaults instead", () => {
    const wrong = {
      prompt: 5, maxTokens: 1e9, temperature: "hot", uses: [{ id: 7 }, null, { id: "formal", layers: "foo" }],
      columns: [{ kind: "loud", rows: { formal: { alpha: 1e9, topP: 0, on: 0, kind: "none" }, x: 3 } }],
    };
    const known = defaultSetting();
    expect(decodeSetting(encoded(wrong))).toEqual({
      ...known, uses: [{ id: "formal", layers: "all" }], columns: [
        { kind: "none", rows: { formal: {} } }, known.columns[1], known.columns[2],
      ],
    });
  });
});

describe("the steering of a column", () => {
  test("is that of its kind, with the calibrated alpha until a slider is moved", () => {
    const setting = using("formal", "italian");
    setting.columns[2]!.rows["italian"] = { topP: 0.3 };
    expect(setting.columns.map((_, index) => steeringOf(setting, index, ENTRIES))).toEqual([
      [],
      [{ vector: "formal", schedule: { kind: "fixed", alpha: 1.5 } }, { vector: "italian", schedule: { kind: "fixed", alpha: 0.75 } }],
      [
        { vector: "formal", schedule: { kind: "dynamic", topP: 0.5, alphaMax: 3, strongAlpha: 3 } },
        { vector: "italian", schedule: { kind: "dynamic", topP: 0.3, alphaMax: 1.5, strongAlpha: 1.5 } },
      ],
    ]);
  });

  test("of a vector that was calibrated with a window is that window where alphas are fixed", () => {
    const steering = steeringSpecSchema.parse({ vector: "w", schedule: { kind: "window", alpha: 0.9, from: 0, to: 4 } });
    const entries = new Map([entry("w", 1, { steering, dynamic: null })]);
    expect(steeringOf(using("w"), 1, entries)).toEqual([{ vector: "w", schedule: { kind: "window", alpha: 0.9, from: 0, to: 4 } }]);
    expect(steeringOf(using("w"), 2, entries)).toEqual([{ vector: "w", schedule: { kind: "dynamic", topP: 0.5 } }]);
  });

  test("leaves out rows that are off, and vectors that do not exist", () => {
    const setting = using("formal", "gone");
    expect(steeringOf(setting, 1, ENTRIES)).toHaveLength(1);
    setting.columns[1]!.rows["formal"] = { on: false };
    expect(steeringOf(setting, 1, ENTRIES)).toEqual([]);
  });

  test("sets the alpha of full shading: the largest sum of a column, at least 1", () => {
    expect(fullAlpha(using(), ENTRIES)).toBe(1);
    expect(fullAlpha(using("italian"), ENTRIES)).toBe(1.5);
    expect(fullAlpha(using("formal", "italian"), ENTRIES)).toBe(4.5);
    expect(fullAlpha({ ...using("formal", "italian"), columns: [{ kind: "fixed", rows: {} }] }, ENTRIES)).toBe(2.25);
  });

  test("names the column", () => {
    expect([[], ["fixed"], ["fixed", "fixed"], ["fixed", "dynamic"]].map((kinds) => columnTitle(kinds as Array<"fixed" | "dynamic">)))
      .toEqual(["Unsteered", "Fixed", "Fixed", "Fixed + Dyn"]);
  });

  test.each([
    ["all", "all"], ["", "all"], ["4", [4]], ["4-6+9", [4, 5, 6, 9]], ["1, 3–4", [1, 3, 4]],
  ])("reads layers: %j", (text, layers) => {
    expect(parseLayers(text)).toEqual(layers);
    if (Array.isArray(layers)) expect(parseLayers(layersText(layers as number[]))).toEqual(layers);
  });

  test.each(["x", "4-", "6-4", "-1", "1.5", "99999"])("does not take %j for layers", (text) => expect(parseLayers(text)).toBeUndefined());

  test("names vectors shortly", () => {
    expect(titleOf({ property: "a b vs c", source: "folder" }, "a-b-1")).toBe("A b");
    expect(titleOf({ property: "ITA vs ENG", source: "gallery" }, "tiny-italian")).toBe("Italian");
  });
});

describe("what a prompted column asks for", () => {
  const all = new Map([
    entry("formal", 1, { origin: "words", property: "speaks formally vs speaks casually" }),
    entry("italian", 1, { source: "gallery", description: "Answers in Italian, from datasets" }),
    entry("glad", 1, { property: "glad vs sad" }),
  ]);
  const columns = [{ kind: "prompted" as const, rows: {} }, { kind: "fixed" as const, rows: {} }];

  test.each([
    [[], ""], [["formal"], "You are someone who speaks formally."], [["italian"], "You are someone who answers in Italian."],
    [["glad", "formal"], "You are someone who is glad. You are someone who speaks formally."], [["gone"], ""],
  ])("follows the vectors %j", (ids, text) => {
    expect(proposedSystem(using(...ids).uses, all)).toBe(text);
  });

  test("comes after the system message of the page, and steers nothing", () => {
    const setting = { ...using("formal"), system: "Be brief.", columns };
    expect([0, 1].map((index) => systemOf(setting, index, all)))
      .toEqual(["Be brief.\n\nYou are someone who speaks formally.", "Be brief."]);
    expect([0, 1].map((index) => steeringOf(setting, index, all).length)).toEqual([0, 1]);
    const written = { ...setting, columns: [{ ...columns[0]!, system: "Be polite." }] };
    expect(systemOf(written, 0, all)).toBe("Be brief.\n\nBe polite.");
  });
});

describe("a request", () => {
  const turns = [{ question: "One?", answer: "1." }, { question: "Two?" }];
  const setting = { ...using("formal"), model: "tiny", temperature: 0.5 };
  const steering = steeringOf(setting, 1, ENTRIES);

  test("of a chat has the conversation", () => {
    const asked = conversation("chat", turns, "Be brief.");
    expect(asked).toEqual({ stop: [], input: { messages: [
      { role: "system", content: "Be brief." }, { role: "user", content: "One?" }, { role: "assistant", content: "1." },
      { role: "user", content: "Two?" },
    ] } });
    expect(chatRequestSchema.parse(requestBody(setting, asked, steering, 7))).toMatchObject({ max_tokens: 80, temperature: 0.5, seed: 7 });
  });

  test("of a base model has the last question, and ends before the next one", () => {
    const asked = conversation("qa", turns, "");
    expect(asked).toEqual({ stop: ["Q:"], input: { prompt: "Q:Two?\nA:" } });
    expect(completionRequestSchema.parse(requestBody(setting, asked, steering, 7))).toMatchObject({ prompt: "Q:Two?\nA:", stop: ["Q:"] });
    expect(requestBody({ ...setting, temperature: 0 }, asked, [], 7)).not.toHaveProperty("seed");
  });
});

describe("the code of a column", () => {
  const setting = { ...using("formal"), model: "tiny", temperature: 0 };
  const codes = (format: "chat" | "qa", system: string): string[] => {
    const asked = conversation(format, [{ question: "Why?" }], system);
    const how = { question: "Why?", asked, system, steering: [], entries: ENTRIES, origin: "http://127.0.0.1", needsKey: false };
    const body = requestBody(setting, asked, [], 7);
    return LANGUAGES.map((language) => codeOf(language, { model: "tiny", source: "tiny", ...how, body }));
  };

  test.each(["chat", "qa"] as const)("has its system message in all languages: %s", (format) => {
    for (const code of codes(format, "Be brief.")) expect(code.match(/Be brief\./g)).toHaveLength(1);
    for (const code of codes(format, "")) expect(code).not.toContain("system");
  });

  test("has the earlier turns in all languages", () => {
    const turns = [{ question: "Who's there?", answer: "A bee." }, { question: "Why?" }];
    const asked = conversation("chat", turns, "Be brief.");
    const how = { question: "Why?", asked, system: "Be brief.", steering: [], entries: ENTRIES, origin: "http://127.0.0.1", needsKey: false };
    for (const language of LANGUAGES) {
      const code = codeOf(language, { model: "tiny", source: "tiny", ...how, body: requestBody(setting, asked, [], 7) });
      for (const text of ["A bee.", "Why?", "Be brief."]) expect(code.split(text)).toHaveLength(2);
    }
    const cli = codeOf("cli", { model: "tiny", source: "tiny", ...how, body: {} });
    expect(cli).toMatch(/^printf %s '\[\n[^']*Who'\\''s there[^']*' > messages\.json\nllama-steer generate tiny --messages messages\.json/);
  });

  test("names a model that was served by its path as a program can open it, and says so where the server does not tell", () => {
    const asked = conversation("qa", [{ question: "Why?" }], "");
    const how = { model: "m", question: "Why?", asked, system: "", steering: [], entries: ENTRIES, origin: "http://x", needsKey: false, body: {} };
    const code = (language: "library" | "cli", source: string | null): string => codeOf(language, { ...how, source });
    expect(code("library", "/models/m.gguf")).toContain('await loadModel("/models/m.gguf");');
    expect(code("cli", "/my models/m.gguf")).toMatch(/^llama-steer generate '\/my models\/m\.gguf' /);
    const advice = "Replace m.gguf by the path of your copy of the server's model file.";
    expect(code("library", null)).toContain(`// ${advice}\nconst model = await loadModel("m.gguf");`);
    expect(code("cli", null)).toMatch(new RegExp(`^# ${advice}\nllama-steer generate m\\.gguf `));
  });

  test("says it of a base model as library and command line take it", () => {
    const [library, cli] = codes("qa", "Be brief.");
    expect(library).toContain('await prompts.tokens(model, "Why?", { system: "Be brief." });');
    expect(cli).toContain("generate tiny 'Why?' \\\n  --system 'Be brief.'");
  });
});

describe("pasted pairs", () => {
  test.each([
    ["good | bad\n\n nice|nasty ", [{ positive: "good", negative: "bad" }, { positive: "nice", negative: "nasty" }]],
    ["How?\tWell | fine.\tBadly.", [{ question: "How?", positive: "Well | fine.", negative: "Badly." }]],
    ["[{\"positive\":\"a\",\"negative\":\"b\"}]", [{ positive: "a", negative: "b" }]],
    ["{\"question\":\"q\",\"positive\":\"a\",\"negative\":\"b\"}\n", [{ question: "q", positive: "a", negative: "b" }]],
    ["  ", []],
  ])("are read: %j", (text, pairs) => expect(parsePairs(text)).toEqual(pairs));

  test.each([
    ["one", "Line 1"], ["a|b\na|", "Line 2"], ["a|b|c|d", "Line 1"], ["[{\"positive\":\"a\"}]", "Pair 1"], ["{nonsense", "Pair 1"],
    ["[1]", "Pair 1"],
  ])("that are wrong are refused by line: %j", (text, message) => expect(() => parsePairs(text)).toThrow(message));
});

test("an exported comparison has the text, its shading and no markup of a model's", () => {
  const token = { text: "<b>\"&' Buongiorno", alpha: 1, kl: 0.5, probability: 0.25, gates: ["open, 83 %"] };
  const html = comparisonHtml({
    model: "tiny", question: "<script>alert(1)</script>", scale: 2, link: "http://127.0.0.1/#s=x",
    answers: [{ title: "Fixed", how: "Italian: alpha 1", figures: "1 token", tokens: [token] }],
  });
  expect(html).not.toMatch(/<script|<b>|https?:\/\/(?!127)/);
  expect(html).toContain("&lt;b&gt;&quot;&amp;&#39; Buongiorno");
  expect(html).toContain("--a:0.500");
  expect(html).toContain("alpha 1.00, KL 0.50, gate open, 83 %, probability 25.0 %");
});
