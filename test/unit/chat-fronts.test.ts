import { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "@jest/globals";
import type { LineEditor } from "../../bin/chat/line-editor.js";
import { Piped } from "../../bin/chat/piped.js";
import type { Property } from "../../bin/chat/properties.js";
import type { Reply } from "../../bin/chat/reply.js";
import { Terminal } from "../../bin/chat/terminal.js";
import { SteeringError, type GeneratedToken } from "../../lib/index.js";
import { parseSteer } from "../../lib/steering/index.js";

const italian: Property = {
  name: "italian", steering: { ...parseSteer("italian.safetensors:fixed,1"), vector: {} as never, gate: undefined },
};
const token = (text: string, parts: Partial<GeneratedToken> = { answer: text }): GeneratedToken =>
  ({ text, answer: "", thoughts: "", phase: "answer", token: 1, step: 0, readings: [{ alpha: 1, kl: null }], ...parts });
const THOUGHT = [token("<think>Hm.</think>", { thoughts: "Hm.", phase: "thinking" }), token("\n\nCiao", { answer: "Ciao" }), token("!")];
const reply = (tokens: GeneratedToken[]): Reply =>
  ({ question: "Hi", text: "Ciao!", thoughts: "Hm.", tokens, seconds: 1, finishReason: "end" });

function sink(): { output: Writable; written: () => string } {
  let text = "";
  return { output: new Writable({ write: (piece, _, done) => { text += String(piece); done(); } }), written: () => text };
}

describe("in pipes", () => {
  const show = (json: boolean): string => {
    const { output, written } = sink();
    const front = new Piped({ async *[Symbol.asyncIterator]() {} }, output, { json, quiet: true, signal: new AbortController().signal });
    const writer = front.answer({ properties: [italian] });
    for (const each of THOUGHT) writer.push(each);
    writer.end(reply(THOUGHT));
    return written();
  };

  test("thoughts are not a part of the answer", () => {
    expect(show(false)).toBe("Ciao!\n");
    expect(JSON.parse(show(true))).toEqual({
      question: "Hi", text: "Ciao!", thoughts: "Hm.", finishReason: "end", tokens: 3, seconds: 1,
      steering: [{ name: "italian", schedule: "fixed,1", meanAlpha: 1, lastAlpha: 1 }],
    });
  });
});

describe("in a terminal", () => {
  const terminal = (columns = 80, depth = 1): { front: Terminal; written: () => string } => {
    const { output, written } = sink();
    const tty = { columns, isTTY: true, getColorDepth: () => depth, hasColors: () => depth > 1 };
    const screen = Object.assign(output, tty) as unknown as NodeJS.WriteStream;
    return { front: new Terminal({} as LineEditor, screen), written };
  };

  test("thoughts are dim and not shaded, and nothing of a text controls the terminal", () => {
    const { front, written } = terminal(80, 8);
    const writer = front.answer({ properties: [italian] });
    for (const each of [...THOUGHT, token("\x1b[2J")]) writer.push(each);
    writer.end(reply(THOUGHT));
    expect(written()).toMatch(/^\x1b\[2mHm\.\x1b\[22m\n\n\x1b\[38;5;31mCiao\x1b\[39m\x1b\[38;5;31m!\x1b\[39m\x1b\[38;5;31m�\[2J\x1b\[39m\n/);
  });

  test("an answer that fails ends its line, and the error of one turn is shown", () => {
    const { front, written } = terminal();
    const writer = front.answer({ properties: [] });
    writer.push(token("  Half"));
    writer.end(undefined);
    front.failed(new SteeringError("E_CONTEXT_FULL", "too long"), true);
    front.failed(new SteeringError("E_ABORTED", "the work was aborted"), true);
    front.failed(new SteeringError("E_ABORTED", "/retry or /compare was aborted"), false);
    expect(stripVTControlCharacters(written())).toBe(
      "Half\ntoo long; /undo or /clear makes room [E_CONTEXT_FULL]\n\nStopped. The question is not kept; /retry asks it again.\n\n"
      + "Stopped. The conversation is as it was.\n\n",
    );
    expect(() => front.failed(new Error("a bug"), true)).toThrow("a bug");
    expect(() => front.failed(new SteeringError("E_DISPOSED", "gone"), true)).toThrow("gone");
  });

  test("notes and errors are broken at words", () => {
    const { front, written } = terminal(40);
    front.note("italian was made in the format qa, but is used in the format chat");
    front.failed(new SteeringError("E_NOT_FOUND", "vector file italian.safetensors does not exist"), false);
    expect(stripVTControlCharacters(written())).toBe("italian was made in the format qa, but\nis used in the format chat\n"
      + "vector file italian.safetensors does\nnot exist [E_NOT_FOUND]\n\n");
  });

  test("two answers at once end with both status lines in their order, one that fails without", () => {
    const { front, written } = terminal(80, 1);
    const [left, right] = front.sideBySide([{ title: "unsteered", properties: [] }, { title: "italian fixed,1", properties: [italian] }])!;
    right!.push(token("Ciao!"));
    right!.end(reply([token("Ciao!")]));
    left!.push(token("Hi!\n\nHow"));
    left!.end(undefined);
    expect(written().split("\n").map((line) => line.trimEnd())).toEqual([
      `unsteered${" ".repeat(29)} │ italian fixed,1`, `Hi!${" ".repeat(35)} │ Ciao!`, `${" ".repeat(38)} │`, `How${" ".repeat(35)} │`,
      "italian fixed,1: 1 token · 1.0 tokens/s · italian 1", "", "",
    ]);
    expect(terminal(59).front.sideBySide([{ properties: [] }, { properties: [] }])).toBeUndefined();
  });
});
