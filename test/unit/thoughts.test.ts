import { describe, expect, test } from "@jest/globals";
import { seededRandom } from "../../lib/maths/index.js";
import { openingOf, splitThoughts, ThoughtReader, type Opening } from "../../lib/prompt/index.js";

const PLAIN: Opening = { opened: "", phase: "answer" };
const THINKS: Opening = { opened: "", phase: "thinking" };
const opened = (mark: string): Opening => ({ opened: mark, phase: "thinking" });

/** Texts as models write them, with the parts that belong to thoughts and answer. */
const TEXTS: Array<[model: string, opening: Opening, text: string, thoughts: string, answer: string]> = [
  ["Qwen3", THINKS, "<think>\nThe user says hi.\n</think>\n\nHello!", "The user says hi.", "Hello!"],
  ["Qwen3, which does not think this time", THINKS, "Hello <b>you</b>!", "", "Hello <b>you</b>!"],
  ["Qwen3 with an empty thought", THINKS, "<think>\n\n</think>\n\nHello!", "", "Hello!"],
  ["DeepSeek-R1, whose template opens the thought", opened("<think>"), "Okay, hm.\n</think>\n\nHello!", "Okay, hm.", "Hello!"],
  ["one that ends in the middle of its thought", opened("<think>"), "Okay, hm. </thi", "Okay, hm. </thi", ""],
  ["one that ends with the mark", THINKS, "<think>Hm.</think>", "Hm.", ""],
  ["Magistral", THINKS, "[THINK]Hm [1].[/THINK]Hello!", "Hm [1].", "Hello!"],
  ["Command A", opened("<|START_THINKING|>"), "Hm.<|END_THINKING|>Hello!", "Hm.", "Hello!"],
  ["Gemma 4", THINKS, "<|channel>thought\nHm.<channel|>Hello!", "Hm.", "Hello!"],
  ["Seed-OSS", THINKS, "<seed:think>Hm.</seed:think>Hello!", "Hm.", "Hello!"],
  ["Kimi", THINKS, "◁think▷Hm.◁/think▷Hello!", "Hm.", "Hello!"],
  ["Apertus", THINKS, "<|inner_prefix|>Hm.<|inner_suffix|>Hello!", "Hm.", "Hello!"],
  ["one that thinks twice", THINKS, "<think>A.</think>\n<think>B.</think>\nHello!", "A.B.", "Hello!"],
  ["gpt-oss", THINKS, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello!", "Hm.", "Hello!"],
  [
    "gpt-oss with JSON", THINKS,
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{}", "Hm.", "{}",
  ],
  [
    "gpt-oss with a preamble", THINKS, "<|channel|>commentary<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello!",
    "Hm.", "Hello!",
  ],
  ["gpt-oss that answers at once", THINKS, "<|channel|>final<|message|>Hello!<|return|>", "", "Hello!"],
  ["gpt-oss that never answers", THINKS, "<|channel|>analysis<|message|>Hm, <|en", "Hm, <|en", ""],
  [
    "gpt-oss whose prompt opens a channel", opened("<|channel|>analysis<|message|>"),
    "Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello!", "Hm.", "Hello!",
  ],
  ["Hy3", opened("<think:opensource>"), "Hm.</think:opensource>Hello!", "Hm.", "Hello!"],
  ["Hy3 that opens its thought itself", THINKS, "<think:opensource>Hm.</think:opensource>Hello!", "Hm.", "Hello!"],
  ["Solar Open", THINKS, "<|think|>Hm.<|end|><|begin|>assistant<|content|>Hello!<|end|>", "Hm.", "Hello!"],
  ["Solar Open that answers at once", THINKS, "<|content|>Hello!", "", "Hello!"],
  ["Solar Open after an empty thought", PLAIN, "<|content|>Hello!<|end|>", "", "Hello!"],
  ["Solar Open that never answers", THINKS, "<|think|>Hm, <|en", "Hm, <|en", ""],
  ["Solar Open whose prompt opens the thought", opened("<|think|>"), "Hm.<|end|><|begin|>assistant<|content|>Hello!", "Hm.", "Hello!"],
  ["Kimi K3", opened("<|open|>think<|sep|>"), "Hm.<|close|>think<|sep|><|open|>response<|sep|>Hello!", "Hm.", "Hello!"],
  ["Kimi K3 that does not think", { opened: "<|open|>response<|sep|>", phase: "answer" }, "Hello!<|close|>response<|sep|>", "", "Hello!"],
  ["a text about marks", PLAIN, "Write <think> first, then </think>.", "", "Write <think> first, then </think>."],
  ["a text that begins with a mark", PLAIN, " <think>Hm.</think> Hello!", "Hm.", "Hello!"],
  ["a text that almost begins with a mark", PLAIN, "<thinker> and [THINKING", "", "<thinker> and [THINKING"],
  ["white space alone", PLAIN, " \n", "", " \n"],
  ["nothing", PLAIN, "", "", ""],
];

/** Pieces of a text, cut at random, into single characters, or not at all. */
function* cuts(text: string): Generator<string[]> {
  yield [text];
  yield [...text];
  const random = seededRandom(text.length);
  for (let round = 0; round < 40; round++) {
    const pieces: string[] = [];
    for (let at = 0; at < text.length;) {
      const next = at + 1 + Math.floor(random() * 12);
      pieces.push(text.slice(at, next));
      at = next;
    }
    yield pieces;
  }
}

describe.each(TEXTS)("%s", (_, opening, text, thoughts, answer) => {
  test("thoughts and answer, however the text is cut into tokens", () => {
    expect(splitThoughts(text, opening)).toEqual({ thoughts, answer });
    for (const pieces of cuts(text)) {
      const reader = new ThoughtReader(opening);
      const phases = pieces.map((piece) => reader.push(piece));
      expect(reader.finish()).toEqual({ thoughts, answer });
      // What is said to be the answer has all of it, and of the rest no more than the beginning of its piece.
      const shown = pieces.filter((_piece, i) => phases[i] === "answer").join("");
      if (answer !== "" && pieces.length > 1) expect(shown.includes(answer.slice(-1))).toBe(true);
      if (answer === "" && text.trim() !== "") expect(phases.every((phase) => phase === "thinking")).toBe(true);
    }
  });

  test("what each token adds, marks and headers left out", () => {
    for (const pieces of cuts(text)) {
      const reader = new ThoughtReader(opening);
      const added = pieces.map((piece, index) => reader.read(piece, index === pieces.length - 1));
      expect(added.map((each) => each.answer).join("")).toBe(answer);
      expect(added.map((each) => each.thoughts).join("").trim()).toBe(thoughts);
    }
  });

  test("the phase in which each character is decided", () => {
    const reader = new ThoughtReader(opening);
    const decided = [...text].map((character) => [reader.phase, reader.push(character)][0]);
    const nAnswer = decided.lastIndexOf("thinking") + 1;
    if (thoughts !== "" && answer !== "") { // the answer begins at its first character, after the mark and white space
      expect(text.slice(nAnswer).trimStart()).toBe(answer + (/(?:<\|(?:return|end)\|>)?$/.exec(text)![0]));
      expect(decided.slice(0, nAnswer).filter((phase) => phase === "answer").length).toBeLessThan(18); // before the mark is known
    }
    if (opening.phase === "thinking") expect(decided[0]).toBe("thinking");
    if (thoughts === "" && opening === PLAIN) expect(decided.every((phase) => phase === "answer")).toBe(true);
  });
});

test("how a text begins, by the end of its prompt and the template", () => {
  const template = "{% if x %}<think>{% endif %}";
  const cases: Array<[end: string, template: string | null, isChat: boolean, expected: Opening]> = [
    ["<|im_start|>assistant\n<think>\n", template, true, opened("<think>")],
    ["<|im_start|>assistant\n<think>\n\n</think>\n\n", template, true, PLAIN],
    ["<|im_start|>assistant\n", template, true, THINKS],
    ["<|im_start|>assistant\n", "{{ messages }}", true, PLAIN],
    ["Q: Why?\nA:", template, false, PLAIN],
    ["[THINK]", null, false, opened("[THINK]")],
    ["<|start|>assistant", "<|channel|>", true, THINKS],
    ["<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>", true, opened("<|channel|>analysis<|message|>")],
    ["<|start|>assistant<|channel|>final<|message|>", "<|channel|>", true, PLAIN],
    ["", null, false, PLAIN],
  ];
  for (const [end, of, isChat, expected] of cases) expect({ end, opening: openingOf(end, of, isChat) }).toEqual({ end, opening: expected });
});
