import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { afterAll, describe, expect, test } from "@jest/globals";
import { completions } from "../../bin/chat/completions.js";
import { fitsSideBySide, SideBySide } from "../../bin/chat/columns.js";
import type { Front } from "../../bin/chat/front.js";
import { InputHistory } from "../../bin/chat/input-history.js";
import { linesOf } from "../../bin/chat/piped.js";
import type { Property } from "../../bin/chat/properties.js";
import { readChat, writeChat, type SavedChat } from "../../bin/chat/saved-chat.js";
import type { Session } from "../../bin/chat/session.js";
import { harmless, Shader } from "../../bin/chat/shade.js";
import { runSlashCommand, SLASH_COMMANDS } from "../../bin/chat/slash-commands.js";
import { statusLine } from "../../bin/chat/status-line.js";
import { WordWrap } from "../../bin/chat/word-wrap.js";
import { parseSteer } from "../../lib/steering/index.js";
import type { GeneratedToken, Reading } from "../../lib/index.js";
import { scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const readings = (...alphas: number[]): Reading[] => alphas.map((alpha) => ({ alpha, kl: null }));
const tokens = (...alphas: number[][]): GeneratedToken[] =>
  alphas.map((each, step) => ({ text: "x", answer: "x", thoughts: "", token: 1, step, phase: "answer", readings: readings(...each) }));
const property = (name: string, schedule = "fixed,1"): Property =>
  ({ name, steering: { ...parseSteer(`${name}.safetensors:${schedule}`), vector: { provenance: {} } as never, gate: undefined } });

describe("shading", () => {
  const paint = (depth: number, alpha: number, scale = 2): string => new Shader(depth).token("x", readings(alpha), [scale]);

  test("without colours the text is as it is, and so is unsteered text in any depth", () => {
    expect([paint(1, 2), paint(24, 0), paint(8, 0), paint(4, 0), new Shader(24).token("x", [], [])]).toEqual(["x", "x", "x", "x", "x"]);
  });

  test("the saturation is alpha's share of its scale, up to 1, whatever its sign", () => {
    expect([paint(24, 1), paint(24, -1), paint(24, 2), paint(24, 5)]).toEqual([
      "\x1b[38;2;64;142;159mx\x1b[39m", "\x1b[38;2;64;142;159mx\x1b[39m", "\x1b[38;2;0;155;190mx\x1b[39m", "\x1b[38;2;0;155;190mx\x1b[39m",
    ]);
    expect([paint(8, 0.01), paint(8, 2)]).toEqual(["\x1b[38;5;102mx\x1b[39m", "\x1b[38;5;31mx\x1b[39m"]);
  });

  test("16 colours: underlined above half", () => {
    expect([paint(4, 1), paint(4, 1.1)]).toEqual(["\x1b[36mx\x1b[39m", "\x1b[36;4mx\x1b[24;39m"]);
  });

  test("the hue is that of the property that is strongest in relation to its scale", () => {
    expect(new Shader(4).token("x", readings(1, 0.9), [2, 1])).toBe("\x1b[35;4mx\x1b[24;39m");
    expect(new Shader(4).name("x", 4)).toBe(new Shader(4).name("x", 0)); // the fifth property begins again
  });

  test("no text controls the terminal", () => {
    expect(harmless("a\x1b[31mb\x07\u009bc\x7f\td\r\ne\rf")).toBe("a�[31mb��c�\td\ne\nf");
  });
});

describe("the status line", () => {
  const both = { properties: [property("italian"), property("formal")] };
  type Given = Parameters<typeof statusLine>;
  const of = (list: GeneratedToken[], more: Partial<Given[0]> = {}, how: Given[1] = both): string =>
    statusLine({ tokens: list, seconds: 0.5, finishReason: "end", ...more }, how);

  test("a constant alpha is shown once, another by mean and last", () => {
    expect(of(tokens([1.5, 0.5], [1.5, 1]))).toBe("2 tokens · 4.0 tokens/s · italian 1.5 · formal 0.75 on average, 1 last");
  });

  test("says why an answer ended early, and whether steering is off", () => {
    expect(of(tokens([1]), { finishReason: "length" }, { properties: [] })).toBe("1 token · 2.0 tokens/s · cut at --max-new-tokens");
    expect(of(tokens(), { finishReason: "interrupted", seconds: 0 }, { properties: [], isOff: true }))
      .toBe("0 tokens · stopped · steering off");
    expect(of(tokens(), { seconds: 0 })).toBe("0 tokens · italian – · formal –");
  });
});

/** What stands on the screen after these pieces; side 1 gets its pieces last. */
function sideBySide(width: number, left: string[], right: string[]): string[] {
  let written = "";
  const rows = new SideBySide(width, 2, (text) => { written += text; });
  const marked = (text: string): string => `\x1b[36m${text}\x1b[39m`;
  for (const piece of left) rows.push(0, piece, marked);
  rows.end(0);
  expect(written).toBe(""); // no row is whole yet
  for (const piece of right) rows.push(1, piece);
  rows.end(1);
  return stripVTControlCharacters(written).split("\n").slice(0, -1);
}

describe("columns", () => {
  test.each([60, 80, 121, 200])("at %i columns no row is wider, each text keeps its words, and the border its place", (width) => {
    const left = ["Bees ", "make hon", "ey, and live", " in hives.\n\nThey", " dance."];
    const right = ["Le api fanno il miele e vivono negli alveari, ", "tutte insieme, in famiglie. ", "x".repeat(150), " fine"];
    const rows = sideBySide(width, left, right);
    const border = rows[0]!.indexOf("│");
    expect(rows.every((row) => row.length < width && row[border] === "│")).toBe(true);
    const words = (side: (row: string) => string): string => rows.map(side).join(" ").replace(/\s+/g, " ").trim();
    expect(words((row) => row.slice(0, border))).toBe(left.join("").replace(/\s+/g, " "));
    expect(words((row) => row.slice(border + 1)).replace(/(?<=x) (?=x)/g, "")).toBe(right.join(""));
  });

  test("a blank line stays, and lines break at spaces", () => {
    const width = 63; // two columns of 29
    expect(sideBySide(width, ["one two three four five six seven"], ["a\n\nb"])).toEqual([
      "one two three four five six   │ a", "seven                         │", "                              │ b",
    ]);
  });

  test("wide characters take two columns, and marks above others none", () => {
    expect(sideBySide(63, ["蜜蜂"], ["e\u0301"])).toEqual([`蜜蜂${" ".repeat(25)} │ e\u0301`]);
    expect(sideBySide(63, ["e\u0301"], ["蜜蜂"])).toEqual([`e\u0301${" ".repeat(28)} │ 蜜蜂`]);
  });

  test("below two readable columns there is no room", () => {
    expect([59, 60].map((width) => fitsSideBySide(width, 2))).toEqual([false, true]);
  });
});

/** What a terminal of this width shows of these pieces. */
function wrapped(width: number, ...pieces: string[]): string[] {
  const lines = [""];
  const wrap = new WordWrap(width, (text) => {
    for (const [, back, erased, character] of text.matchAll(/\x1b\[(\d+)D(\x1b\[K)|([^])/g)) {
      if (erased) lines.push(lines.pop()!.slice(0, -Number(back)));
      else if (character === "\n") lines.push("");
      else if (lines.at(-1)!.length === width) lines.push(character!);
      else lines.push(lines.pop()! + character!);
    }
  });
  for (const piece of pieces) wrap.push(piece, (text) => text);
  return lines;
}

describe("wrapping words as they come", () => {
  const text = "Bees make honey, and they live in hives.\n\nThey dance, and sleep. ";

  test.each([12, 20, 50])("at %i columns, in pieces of any size, no word is cut that fits into a line", (width) => {
    const whole = wrapped(width, text);
    for (const size of [1, 2, 3, 7]) expect(wrapped(width, ...text.match(new RegExp(`[^]{1,${size}}`, "g"))!)).toEqual(whole);
    expect(whole.every((line) => line.length <= width)).toBe(true);
    expect(whole.join(" ").split(/\s+/)).toEqual(text.split(/\s+/));
  });

  test.each([1, 2, 7, 60])("a word longer than a line is broken by the terminal, in pieces of %i", (size) => {
    const long = `a ${"z".repeat(25)}, and sleep.`;
    const lines = wrapped(12, ...long.match(new RegExp(`[^]{1,${size}}`, "g"))!);
    expect(lines.every((line) => line.length <= 12)).toBe(true);
    expect(lines.join(" ").replace(/(?<=z) (?=z)/g, "").replace(/ +/g, " ")).toBe(long);
  });

  test("the last column stays empty, where terminals differ", () => {
    expect(wrapped(10, "aaaa bbbb cccc")).toEqual(["aaaa bbbb", "cccc"]);
    expect(wrapped(10, "aaaa bbbbb")).toEqual(["aaaa ", "bbbbb"]);
  });
});

describe("a saved chat", () => {
  const CHAT: SavedChat = {
    version: 1, model: "m", system: null, steeringOn: true,
    steering: [parseSteer(`${space.path("v.safetensors")}:fixed,1,when=${space.path("p.safetensors")}>0.5`)],
    messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Yo" }],
  };

  test("is read as it was written, and names its vectors and their gates' probes relative to itself", async () => {
    await writeChat(space.path("a/chat.json"), CHAT);
    expect(await readChat(space.path("a/chat.json"))).toEqual(CHAT);
    expect(JSON.parse(readFileSync(space.path("a/chat.json"), "utf8"))).toMatchObject({
      steering: [{ vector: "../v.safetensors", gate: { probe: "../p.safetensors" } }],
    });
  });

  test.each<[string, string | object, RegExp]>([
    ["cut", JSON.stringify(CHAT).slice(0, -9), /is not JSON/],
    ["of another version", { ...CHAT, version: 2 }, /version: expected 1/],
    ["a list", [], /the file: .*object/],
    ["without messages", { ...CHAT, messages: undefined }, /messages: /],
    ["with an answer missing", { ...CHAT, messages: CHAT.messages.slice(0, 1) }, /messages: expected a question .* in turn/],
    ["with answers first", { ...CHAT, messages: CHAT.messages.slice().reverse() }, /in turn/],
    ["with a system message among the messages", { ...CHAT, messages: [{ role: "system", content: "x" }] }, /messages\.0\.role/],
    ["with a number as content", { ...CHAT, messages: [{ role: "user", content: 1 }] }, /messages\.0\.content/],
    ["with an unknown schedule", { ...CHAT, steering: [{ ...CHAT.steering[0], schedule: { kind: "x" } }] }, /steering\.0\.schedule/],
    ["with too many vectors", { ...CHAT, steering: new Array(101).fill(CHAT.steering[0]) }, /steering: /],
    ["with an unknown field", { ...CHAT, more: 1 }, /more/],
    ["deep", `${"[".repeat(200)}${"]".repeat(200)}`, /nested/],
  ])("that is %s is refused", async (name, content, message) => {
    const path = space.path(`${name}.json`);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    await expect(readChat(path)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringMatching(message) });
  });

  test("says which folder it had to create", async () => {
    const notes: string[] = [];
    const save = (path: string): Promise<boolean> => runSlashCommand(
      `/save ${path}`, { saved: () => CHAT } as unknown as Session, { note: (text: string) => notes.push(text) } as unknown as Front,
    );
    await save(space.path("new/er/chat.json"));
    await save(space.path("new/er/chat.json"));
    expect(notes).toEqual([
      expect.stringMatching(/^created the folder .*new for .*new\/er\/chat\.json$/), ...Array(2).fill(expect.stringMatching(/^Saved to /)),
    ]);
  });

  test("does not overwrite a model, its own vector or its gate's probe", async () => {
    writeFileSync(space.path("v.safetensors"), "a vector");
    writeFileSync(space.path("p.safetensors"), "a probe");
    writeFileSync(space.path("m.gguf"), "GGUF and more");
    await expect(writeChat(space.path("v.safetensors"), CHAT)).rejects.toMatchObject({ code: "E_WRITE" });
    await expect(writeChat(space.path("p.safetensors"), CHAT)).rejects.toMatchObject({ code: "E_WRITE" });
    await expect(writeChat(space.path("m.gguf"), CHAT)).rejects.toMatchObject({ code: "E_WRITE" });
    await expect(readChat(space.path("nothing.json"))).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  });
});

describe("the history of inputs", () => {
  test("is kept between chats, without repetitions, empty and overlong lines, and only for its owner", async () => {
    const path = space.path("home/history");
    const history = await InputHistory.open(path);
    for (const line of ["a", "a", "", " ", "b", "x".repeat(5000)]) await history.add(line);
    expect(history.latestFirst).toEqual(["b", "a"]);
    expect((await InputHistory.open(path)).latestFirst).toEqual(["b", "a"]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    chmodSync(path, 0o644);
    await InputHistory.open(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("is cut to its last 1000 lines", async () => {
    const path = space.path("long");
    writeFileSync(path, Array.from({ length: 1500 }, (_, i) => `${i}\n`).join(""));
    const { latestFirst } = await InputHistory.open(path);
    expect([latestFirst.length, latestFirst[0], latestFirst.at(-1)]).toEqual([1000, "1499", "500"]);
    expect(readFileSync(path, "utf8").split("\n")).toHaveLength(1001);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("that is not a text is refused and left as it is", async () => {
    writeFileSync(space.path("bytes"), Buffer.from([0xff, 0xfe]));
    await expect(InputHistory.open(space.path("bytes"))).rejects.toMatchObject({ message: expect.stringMatching(/not UTF-8/) });
    expect(readFileSync(space.path("bytes"))).toEqual(Buffer.from([0xff, 0xfe]));
  });
});

test("lines are found across the pieces of a stream, whose borders may cut a character", async () => {
  const bytes = Buffer.from("è qui\r\n\nlà");
  const pieces = [...bytes].map((byte) => Uint8Array.of(byte));
  const lines: string[] = [];
  for await (const line of linesOf((async function* () { yield* pieces; })())) lines.push(line);
  expect(lines).toEqual(["è qui", "", "là"]);
});

test("Tab completes commands, and the properties of /alpha and /drop", () => {
  const session = { properties: [property("italian"), property("formal")] };
  const of = (line: string): string[] => completions(line, session);
  expect([of("/s"), of("/alpha i"), of("/drop f"), of("What"), of("")]).toEqual([
    ["/steer ", "/system ", "/save "], ["/alpha italian "], ["/drop formal"], [],
    SLASH_COMMANDS.map(({ name, args }) => `/${name}${args ? " " : ""}`),
  ]);
});
