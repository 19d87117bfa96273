import { statSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { runCommand, type Outcome } from "../support/command.js";
import { writeChatFiles } from "../support/chat-model.js";
import { hasTerminal, openTerminal, type Terminal, type TerminalOptions } from "../support/terminal.js";
import { scratch } from "../support/tiny-files.js";

const space = scratch();
beforeAll(() => writeChatFiles(space));
afterAll(() => space[Symbol.dispose]());

const ITALIAN = "italian.safetensors:fixed,1.5";
const PICNIC = "How do I plan the picnic?";
const ENGLISH = "It is possible to plan the picnic.";
const CHAT = ["chat", "chat.gguf", "--threads", "1"];

describe("in pipes", () => {
  const pipe = (input: string, ...args: string[]): Promise<Outcome> =>
    runCommand([...CHAT, ...args], { cwd: space.folder, input: Buffer.from(input) });

  test("each line is a question; only the answers are on stdout; empty lines and a missing last line end do not matter", async () => {
    const { code, stdout, stderr } = await pipe(`${PICNIC}\n\n  \r\n/steer ${ITALIAN}\nHow do I plan \\\nthe picnic?`);
    const [first, second, ...rest] = stdout.split("\n");
    expect({ code, rest }).toEqual({ code: 0, rest: [""] });
    expect(first).toContain(ENGLISH);
    expect(second).toContain("pianificare il picnic");
    expect(stderr).toMatch(/^\d+ tokens · [\d.]+ tokens\/s\nitalian was extracted in the format qa.*\n1 italian  fixed,1.5\n\d+ tokens · .* · italian 1.5\n$/);
  });

  test("an answer depends on the conversation before it, a system message too", async () => {
    const asked = `${PICNIC}\n`;
    const alone = (await pipe(asked, "--quiet")).stdout;
    const { stdout, stderr } = await pipe(`What should I cook?\n${asked}/clear\n${asked}/undo\n${asked}/undo\n/system Hello\n/system -\n${asked}`, "--quiet");
    expect(stdout.split("\n").slice(2, -1)).toEqual([alone, alone, alone].map((line) => line.trimEnd()));
    expect(stdout.split("\n")[1]).not.toBe(alone.trimEnd());
    expect(stderr).toBe("");
  });

  test("--json writes a line per answer; /compare writes two and leaves the chat as it is", async () => {
    const { code, stdout } = await pipe(`${PICNIC}\n/compare\n/save saved.json\n`, "--json", "--steer", "italian.safetensors:dyn,p=0.9");
    const [answer, unsteered, steered, ...rest] = stdout.split("\n").map((line) => (line === "" ? "" : JSON.parse(line) as Record<string, unknown>));
    const measured = { name: "italian", schedule: "dyn,p=0.9", meanAlpha: expect.any(Number), lastAlpha: expect.any(Number) };
    expect(code).toBe(0);
    expect(answer).toMatchObject({ question: PICNIC, finishReason: "end", text: expect.stringContaining("pianificare"), steering: [measured] });
    expect(unsteered).toMatchObject({ setting: "unsteered", question: PICNIC, text: expect.stringContaining(ENGLISH), steering: [] });
    expect(steered).toEqual({ setting: "italian dyn,p=0.9", ...answer as object, seconds: expect.any(Number) });
    expect(rest).toEqual([""]);
    const { messages } = JSON.parse(readFileSync(space.path("saved.json"), "utf8")) as { messages: object[] };
    expect(messages).toEqual([{ role: "user", content: PICNIC }, { role: "assistant", content: (answer as { text: string }).text }]);
  });

  test("a saved chat continues where it was, with its steering, from another folder too", async () => {
    const first = await pipe(`/steer ${ITALIAN}\n/system Hello\n${PICNIC}\n/save deep/er/chat.json\nWhat should I cook?\n`, "--quiet");
    const saved = JSON.parse(readFileSync(space.path("deep/er/chat.json"), "utf8")) as object;
    expect(saved).toMatchObject({ version: 1, model: "chat.gguf", system: "Hello", steeringOn: true, steering: [{ vector: "../../italian.safetensors" }] });
    const next = await pipe("What should I cook?\n", "--load", "deep/er/chat.json", "--quiet");
    expect(next).toMatchObject({ code: 0, stdout: `${first.stdout.split("\n")[1]!}\n` });
  });

  test.each([
    ["an unknown command", "/stear x\n", 2, /unknown command \/stear; did you mean \/steer\?/],
    ["a vector that is not there", "/steer none.safetensors:fixed,1\n", 3, /none\.safetensors does not exist.*\[E_NOT_FOUND\]/],
    ["nothing to compare", `${PICNIC}\n/compare\n`, 2, /nothing to compare/],
    ["nothing to retry", "/retry\n", 2, /ask a question first/],
    ["nothing to undo", "/undo\n", 2, /nothing to undo/],
    ["bytes that are not a text", "\xff\xfe\n", 2, /not UTF-8/],
  ])("%s ends the chat with its code", async (_, input, code, message) => {
    const outcome = await runCommand([...CHAT, "--quiet"], { cwd: space.folder, input: Buffer.from(`${input}${PICNIC}\n`, "latin1") });
    expect({ code: outcome.code, stderr: outcome.stderr }).toEqual({ code, stderr: expect.stringMatching(message) });
    expect(outcome.stdout.split("\n").length).toBeLessThanOrEqual(2); // the question after it is not answered
  });

  test("a model without a template for conversations is refused with the names of others", async () => {
    const { code, stdout, stderr } = await runCommand(["chat", "tiny"], { cwd: space.folder, input: Buffer.from("Hi\n") });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/^llama-steer: tiny has no template .* smollm2-135m, qwen2\.5-coder-0\.5b-instruct,.* generate \[E_BAD_GGUF\]\n$/);
    expect(stderr).not.toMatch(/gemma3-270m|guard/);
  });
});

const describeTerminal = hasTerminal() ? describe : describe.skip;
describeTerminal("in a terminal", () => {
  const open = (args: string[] = [], options: Omit<TerminalOptions, "cwd"> = {}): Terminal =>
    openTerminal([...CHAT, ...args], { cwd: space.folder, ...options, env: { LLAMA_STEER_HOME: space.path("home"), ...options.env } });
  const PROMPT = /\n> $/;

  test("answers are shaded by alpha, a status line follows, Ctrl-D leaves; the history is private", async () => {
    await using terminal = open(["--steer", ITALIAN]);
    await terminal.until(PROMPT);
    terminal.type(`${PICNIC}\r`);
    await terminal.until(/pianificare il picnic[^]*\d+ tokens · [\d.]+ tokens\/s · italian 1\.5\n\n> $/);
    expect(terminal.screen).toContain("\x1b[38;5;31m");
    terminal.type("\x04");
    expect(await terminal.ended).toBe(0);
    expect(readFileSync(space.path("home/chat-history"), "utf8")).toBe(`${PICNIC}\n`);
    expect(statSync(space.path("home/chat-history")).mode & 0o777).toBe(0o600);

    await using next = open([], { env: { NO_COLOR: "1" } });
    await next.until(PROMPT);
    next.type("\x1b[A\r"); // the arrow up
    await next.until(/It is possible to plan the picnic\.[^]*tokens\/s\n\n> $/);
    expect(next.screen).not.toMatch(/\x1b\[(?:38|2|4|1)[;m]/);
    next.type("/quit\r");
    expect(await next.ended).toBe(0);
  });

  test("Ctrl-C stops the answer, not the program; twice at an empty prompt it leaves", async () => {
    await using terminal = open(["--steer", "italian.safetensors:fixed,60", "--max-new-tokens", "4000"]);
    await terminal.until(PROMPT);
    terminal.type(`${PICNIC}\r`);
    await terminal.until(/(?:ada){3}/); // it would go on for minutes
    terminal.type("\x03");
    await terminal.until(/tokens\/s · stopped · italian 60\n\n> $/);
    terminal.type("/clear\r");
    await terminal.until(/A new conversation\.\n> $/);
    terminal.type("/off\r");
    await terminal.until(/off; [^]*> $/);
    terminal.type(`${PICNIC}\r`);
    await terminal.until(/It is possible to plan the picnic\.[^]*steering off\n\n> $/);
    terminal.type("half a line\x03");
    await terminal.until(/half a line\n> $/);
    terminal.type("\x03");
    await terminal.until(/Ctrl-C again[^]*> $/);
    terminal.type("\x03");
    expect(await terminal.ended).toBe(0);
  });

  test("/compare is side by side in a wide terminal, one after the other in a narrow one", async () => {
    for (const columns of [100, 50]) {
      await using terminal = open(["--steer", ITALIAN], { columns });
      await terminal.until(PROMPT);
      terminal.type(`${PICNIC}\r`);
      await terminal.until(/italian 1\.5\n\n> $/);
      terminal.type("/compare\r");
      const shown = await terminal.until(/unsteered[^]*italian 1\.5\n\n> $/);
      if (columns === 100) expect(shown).toMatch(/^unsteered {39} │ italian fixed,1\.5\nIt is possible to plan the picnic\. .*│ .*\n(?:.* │ .*\n)+unsteered: \d+ tokens.*\nitalian fixed,1\.5: /);
      else expect(shown).toMatch(/^unsteered\nIt is possible[^│]*tokens\/s\n\nitalian fixed,1\.5\n[^│]*pianificare/);
    }
  });

  test("an error of one turn does not end the chat; a paste and lines that end in a backslash are one question", async () => {
    await using terminal = open();
    await terminal.until(PROMPT);
    terminal.type("/steer none.safetensors\r");
    await terminal.until(/none\.safetensors does not exist \[E_NOT_FOUND\]\n\n> $/);
    terminal.type("\x1b[200~How do I\r\tplan\r\x1b[201~the\\\r");
    await terminal.until(/the\\\n… $/);
    terminal.type("picnic?\r");
    await terminal.until(/tokens\/s\n\n> $/);
    terminal.type(`/save pasted.json\rHalf a ques`);
    await terminal.until(/Saved[^]*> Half a ques$/);
    const { messages } = JSON.parse(readFileSync(space.path("pasted.json"), "utf8")) as { messages: Array<{ content: string }> };
    expect(messages[0]!.content).toBe("How do I\n\tplan\nthe\npicnic?");
  });

  test("a history that cannot be read is reported, and the chat begins", async () => {
    writeFileSync(space.path("file"), "");
    await using terminal = open([], { env: { LLAMA_STEER_HOME: space.path("file") } });
    await terminal.until(/Without the questions of earlier chats: [^]*\n> $/);
  });
});
