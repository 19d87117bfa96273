import { statSync, readFileSync, writeFileSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { converse } from "../../bin/chat/converse.js";
import { Piped } from "../../bin/chat/piped.js";
import { Session } from "../../bin/chat/session.js";
import { loadModel, type Model, type Sampling } from "../../lib/index.js";
import { runCommand } from "../support/command.js";
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
  let model: Model;
  beforeAll(async () => { model = await loadModel(space.path("chat.gguf"), { threads: 1, gpuLayers: 0, vet: false }); });
  afterAll(() => model.dispose());

  const begin = (sampling: Sampling = {}): Session =>
    new Session(model, { modelName: "chat.gguf", sampling, maxNewTokens: 64, templateVariables: {}, allowMismatch: false });
  /** The lines on stdout. */
  const say = async (input: string | Buffer, json = false): Promise<string[]> => {
    let out = "";
    const output = new Writable({ write: (text, _, done) => { out += String(text); done(); } });
    const front = new Piped(Readable.from([Buffer.from(input)]), output, { json, quiet: true, signal: new AbortController().signal });
    await converse(begin(), front);
    return out.split("\n").slice(0, -1);
  };

  test("each line is a question; only the answers are on stdout; empty lines and a missing last line end do not matter", async () => {
    const { code, stdout, stderr } = await runCommand(CHAT, {
      cwd: space.folder, input: Buffer.from(`${PICNIC}\n\n  \r\n/steer ${ITALIAN}\n/clear\nHow do I plan \\\nthe picnic?`),
    });
    const [first, second, ...rest] = stdout.split("\n");
    expect({ code, rest }).toEqual({ code: 0, rest: [""] });
    expect(first).toContain(ENGLISH);
    expect(second).toMatch(/pianificare/);
    expect(stderr).toMatch(new RegExp("^\\d+ tokens · [\\d.]+ tokens/s\\n"
      + "italian was made in the format qa, but is used in the format chat.*\\n1 italian  fixed,1.5\\n"
      + "A new conversation\\.\\n\\d+ tokens · .* · italian 1\\.5\\n$"));
  });

  test("an answer depends on the conversation before it, a system message too", async () => {
    const asked = `${PICNIC}\n`;
    const [alone] = await say(asked);
    const answers = await say(`What should I cook?\n${asked}/clear\n${asked}/undo\n${asked}/undo\n`
      + `/system Hello\n${asked}/undo\n/system -\n${asked}`);
    expect(answers).toHaveLength(6);
    expect(answers.map((each) => each === alone)).toEqual([false, false, true, true, false, true]);
  });

  test("--json writes a line per answer; /compare writes two and leaves the chat as it is", async () => {
    const lines = await say(`/steer ${space.path("italian.safetensors")}:dyn,p=0.9,max=2,strong=2\n${PICNIC}\n/compare\n`
      + `/save ${space.path("saved.json")}\n`, true);
    const [answer, unsteered, steered, ...rest] = lines.map((line) => JSON.parse(line) as { text: string });
    const measured = { name: "italian", schedule: "dyn,p=0.9", meanAlpha: expect.any(Number), lastAlpha: expect.any(Number) };
    const text = expect.stringContaining("pianificare");
    expect(answer).toMatchObject({ question: PICNIC, finishReason: "end", text, steering: [measured] });
    expect(unsteered).toMatchObject({ setting: "unsteered", question: PICNIC, text: expect.stringContaining(ENGLISH), steering: [] });
    expect(steered).toEqual({ setting: "italian dyn,p=0.9", ...answer, seconds: expect.any(Number) });
    expect(rest).toEqual([]);
    const { messages } = JSON.parse(readFileSync(space.path("saved.json"), "utf8")) as { messages: object[] };
    expect(messages).toEqual([{ role: "user", content: PICNIC }, { role: "assistant", content: answer!.text }]);
  });

  test("a saved chat continues where it was, with its steering", async () => {
    const path = space.path("deep/er/chat.json");
    const [, next] = await say(`/steer ${space.path(ITALIAN)}\n/system Hello\n${PICNIC}\n/save ${path}\nWhat should I cook?\n`);
    const saved = JSON.parse(readFileSync(path, "utf8")) as object;
    const steering = [{ vector: "../../italian.safetensors" }];
    expect(saved).toMatchObject({ version: 1, model: "chat.gguf", system: "Hello", steeringOn: true, steering });
    expect(await say(`/load ${path}\nWhat should I cook?\n`)).toEqual([next]);
    expect(await say("What should I cook?\n")).not.toEqual([next]);
  });

  test("--system is that of the chat, whatever a loaded one had; a tilde is the home folder", async () => {
    await runCommand(CHAT, {
      cwd: space.folder, env: { HOME: space.folder }, input: Buffer.from(`/system Old\n${PICNIC}\n/save ~/home.json\n`),
    });
    const { code } = await runCommand([...CHAT, "--load", "home.json", "--system", "New"], {
      cwd: space.folder, input: Buffer.from("/save again.json\n"),
    });
    expect(code).toBe(0);
    const [old, again] = ["home.json", "again.json"].map((name) => JSON.parse(readFileSync(space.path(name), "utf8")) as object);
    expect(old).toMatchObject({ system: "Old" });
    expect(again).toEqual({ ...old, system: "New" });
  });

  test("a chat that cannot be loaded leaves the present one as it is", async () => {
    const session = begin();
    await session.steer(`${space.path("italian.safetensors")}:fixed,1`);
    session.system = "Hello";
    const before = session.saved();
    const lost = { ...before, system: "Bye", steering: [{ ...before.steering[0]!, vector: space.path("lost.safetensors") }] };
    await expect(session.load(lost)).rejects.toMatchObject({ code: "E_NOT_FOUND" });
    expect(session.saved()).toEqual(before);
  });

  test("retry draws again, and keeps the old answer if it is stopped before its first token", async () => {
    const session = begin({ temperature: 1.5 });
    const listener = { onToken: () => undefined, signal: new AbortController().signal };
    const first = await session.ask(PICNIC, listener);
    await expect(session.retry({ ...listener, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
    expect(session.messages.at(-1)!.content).toBe(first.text);
    const second = await session.retry(listener);
    expect(second.text).not.toBe(first.text);
    expect(session.messages).toEqual([{ role: "user", content: PICNIC }, { role: "assistant", content: second.text }]);
  });

  test("an answer that is stopped is kept as far as it got", async () => {
    const session = begin();
    const abort = new AbortController();
    const reply = await session.ask(PICNIC, { signal: abort.signal, onToken: ({ step }) => { if (step === 4) abort.abort(); } });
    expect(reply).toMatchObject({ finishReason: "interrupted", tokens: { length: 5 } });
    expect(session.messages.at(-1)).toEqual({ role: "assistant", content: reply.text });
    expect(ENGLISH).toContain(reply.text.trim());
  });

  test.each([
    ["an unknown command", "/stear x\n", "E_BAD_ARGUMENT", /unknown command \/stear; did you mean \/steer\?/],
    ["a vector that is not there", "/steer none.safetensors:fixed,1\n", "E_NOT_FOUND", /none\.safetensors does not exist/],
    ["nothing to compare", `${PICNIC}\n/compare\n`, "E_BAD_ARGUMENT", /nothing to compare/],
    ["nothing to retry", "/retry\n", "E_BAD_ARGUMENT", /ask a question first/],
    ["nothing to undo", "/undo\n", "E_BAD_ARGUMENT", /nothing to undo/],
    ["bytes that are not a text", "\xff\xfe\n", "E_BAD_ARGUMENT", /not UTF-8/],
    ["a file without line breaks", "x".repeat(2 ** 20 + 1), "E_BAD_ARGUMENT", /more than 1048576 characters/],
  ])("%s ends the chat", async (_, input, code, message) => {
    const said = say(Buffer.from(`${input}${PICNIC}\n`, "latin1"));
    await expect(said).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("a model without a template for conversations is refused with the names of others", async () => {
    const { code, stdout, stderr } = await runCommand(["chat", "tiny"], { cwd: space.folder, input: Buffer.from("Hi\n") });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/^llama-steer: tiny has no template .* smollm2-135m, qwen2\.5-.* generate \[E_BAD_GGUF\]\n$/);
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
      if (columns === 100) expect(shown).toMatch(
        /^unsteered {39} │ italian fixed,1\.5\nIt is possible .*│ .*\n(?:.* │ .*\n)+unsteered: \d+ t.*\nitalian /,
      );
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
