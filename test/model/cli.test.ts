import { afterAll, describe, expect, test } from "@jest/globals";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { runCommand, type CommandOptions, type Outcome } from "../support/command.js";
import { describeWithModel } from "../support/real-model.js";
import { scratch } from "../support/tiny-files.js";

const MODEL = "smollm2-135m";
const describeModel = await describeWithModel(MODEL);
const space = scratch();
afterAll(() => space[Symbol.dispose]());

const run = (args: string[], options: Omit<CommandOptions, "cwd"> = {}): Promise<Outcome> => runCommand(
  args, { cwd: space.folder, ...options },
);

const EXTRACT = ["extract", MODEL, "--positive", "ITA", "--negative", "ENG"];
const SMALL = ["--icl-examples", "1", "--support", "2", "--max-new-tokens", "4"];

describeModel(`the command line with ${MODEL}`, () => {
  test("extract, inspect, generate: files and JSON fit together", async () => {
    const extracted = await run([...EXTRACT, ...SMALL, "--out", "it.safetensors", "--json"]);
    expect(extracted.code).toBe(0);
    const made = JSON.parse(extracted.stdout) as { provenance: { calibration: { schedule: { alpha: number } } } };
    expect(made).toMatchObject({ path: "it.safetensors", site: "head_out", nLayers: 30, nSteps: 4, width: 576 });
    const strong = 2 * made.provenance.calibration.schedule.alpha;

    const inspected = await run(["inspect", "it.safetensors", "--json"]);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      nSteps: 4, provenance: { origin: { iclExamples: 1, support: 2 }, model: { architecture: "llama", quantisation: "Q4_1" } },
    });

    const generated = await run([
      "generate", MODEL, "What do bees make?", "--steer", "it.safetensors:fixed,1.5", "--steer", "it.safetensors:dyn,p=0.5",
      "--max-new-tokens", "5", "--json",
    ]);
    expect(generated.code).toBe(0);
    const result = JSON.parse(generated.stdout) as {
      format: string; prompt: string; steering: object[]; text: string;
      tokens: Array<{ readings: Array<{ alpha: number; kl: number | null }> }>
    };
    expect([result.format, result.prompt]).toEqual(["chat", "What do bees make?"]);
    expect(generated.stderr).toMatch(/^note: it\.safetensors was made in the format qa, but is used in the format chat/);
    expect(result.steering).toEqual([
      { vector: "it.safetensors", layers: "all", heads: "all", schedule: { kind: "fixed", alpha: 1.5 }, tail: "mean", phases: ["answer"] },
      {
        vector: "it.safetensors", layers: "all", heads: "all",
        schedule: { kind: "dynamic", topP: 0.5, alphaMax: strong, strongAlpha: strong, klReduction: "mean" },
        tail: "mean", phases: ["answer"],
      },
    ]);
    for (const { readings } of result.tokens) {
      expect(readings[0]).toEqual({ alpha: 1.5, kl: null });
      expect(readings[1]!.alpha).toBe(Math.min(strong, Math.max(0, readings[1]!.kl!)));
    }

    const streamed = await run([
      "generate", MODEL, "What do bees make?", "--steer", "it.safetensors:fixed,1.5", "--steer", "it.safetensors:dyn,p=0.5",
      "--max-new-tokens", "5", "--quiet",
    ]);
    expect(streamed.stdout).toBe(`${result.text}\n`);
    expect(streamed.stderr).toBe("");
  }, 180_000);

  test("a prompt longer than the context", async () => {
    const { code, stdout, stderr } = await run(["generate", MODEL, "bees ".repeat(9000), "--quiet"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(
      /^llama-steer: the prompt has 9\d{3} tokens and 30 new ones were requested, but the model's context holds 8192\..*\[E_CONTEXT_FULL\]\n$/,
    );
  }, 180_000);

  test.each(["SIGINT", "SIGKILL"] as const)("extract stopped by %s leaves nothing that looks whole", async (signal) => {
    const { code, signal: by } = await run([...EXTRACT, "--out", "stopped.safetensors"], { interrupt: { when: /% of/, signal } });
    expect(signal === "SIGINT" ? code : by).toBe(signal === "SIGINT" ? 130 : "SIGKILL");
    expect(readdirSync(space.folder).filter((name) => name.startsWith("stopped"))).toEqual([]);
  }, 180_000);
});

/** No source of a model can be reached: nothing listens at this port. */
const OFFLINE = { HF_ENDPOINT: "http://127.0.0.1:9", LLAMA_STEER_PYPI: "http://127.0.0.1:9", PIP_NO_INDEX: "1", PIP_FIND_LINKS: "" };

describe("the command line offline", () => {
  test("demo falls back to the embedded model, says so, and steers it with the vectors of the package", async () => {
    const { code, stdout, stderr } = await run(
      ["demo", "--out", "demo", "--json"], { env: { ...OFFLINE, LLAMA_STEER_HOME: space.path("empty home") } },
    );
    expect({ code, stderr }).toEqual({
      code: 0, stderr: expect.stringMatching(/no source worked[^]*Offline: using tiny[^]*ready-made vectors/),
    });
    const { model, answers } = JSON.parse(stdout) as { model: string; answers: Array<{ setting: string; text: string }> };
    expect(model).toBe("tiny");
    const signs: Record<string, RegExp> = {
      unsteered: /^It is (possible|useful) to/, italian: / (il|la|le) /, french: /^Il est possible/, formal: /advisable|respectfully/,
    };
    expect(answers.map(({ setting }) => setting)).toEqual(Array(3).fill(Object.keys(signs)).flat());
    for (const { setting, text } of answers) expect(text.trim()).toMatch(signs[setting]!);
    expect(JSON.parse(readFileSync(space.path("demo/results.json"), "utf8"))).toEqual(JSON.parse(stdout));
  }, 120_000);

  test("demo extracts its own vectors where there are none, and its last lines use them", async () => {
    const { code, stdout } = await run(
      ["demo", "tiny", "--extract", "--questions", "1", "--max-new-tokens", "12", "--out", "extracted", "--quiet"],
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^unsteered +It is[^]*^italian +\S[^]*^french +\S[^]*^formal +\S/m);
    expect(stdout).toMatch(/llama-steer serve tiny --vectors extracted --open\n$/);
    const [, ...args] = /llama-steer (generate) (tiny) "(.+)" --steer (\S+)\n/.exec(stdout)!;
    const answered = await run([args[0]!, args[1]!, args[2]!, "--steer", args[3]!, "--quiet"]);
    expect({ code: answered.code, stdout: answered.stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/ (il|la|le|un|una) /) });
  }, 120_000);

  test("a model that was asked for by name is not replaced", async () => {
    const { code, stderr } = await run(
      ["demo", "gemma3-270m", "--out", "demo"], { env: { ...OFFLINE, LLAMA_STEER_HOME: space.path("empty home") } },
    );
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining("[E_DOWNLOAD]") });
  }, 180_000);

  test("the embedded model says once that it is a toy, but not in the result; a piped question is the prompt", async () => {
    const toy = /^note: tiny is a toy [^\n]*qwen2\.5-coder-0\.5b-instruct [^\n]*\n/;
    const input = Buffer.from("How do I make a pie?\r\n");
    const generated = await run(["generate", "tiny", "--json", "--max-new-tokens", "4"], { input });
    expect(JSON.parse(generated.stdout)).toMatchObject({ prompt: "How do I make a pie?", tokens: { length: 4 } });
    expect(generated.stderr.replace(toy, "")).toBe("");
    expect(generated.stderr).toMatch(toy);
    const words = ["extract", "tiny", "--towards", "is kind", "--max-new-tokens", "2", "--no-strength", "--no-cache", "--json"];
    expect((await run(words)).stderr.match(/is a toy/g)).toHaveLength(1);
    expect((await run(["generate", "tiny", "Why?", "--max-new-tokens", "1", "--quiet"])).stderr).toBe("");
    const serve = ["serve", "tiny", "--port", "0"];
    const served = await run(serve, { interrupt: { when: /is a toy/, signal: "SIGINT" } });
    expect([served.code, served.stderr.match(/is a toy/g)?.length]).toEqual([0, 1]);
  }, 180_000);

  test("`evaluate facts` takes a ready-made vector by its name, and says what to know about it and the model", async () => {
    const questions = JSON.stringify([{ question: "What do bees make?", right: "honey", wrong: ["milk", "silk"] }]);
    writeFileSync(space.path("facts.json"), questions);
    const facts = ["evaluate", "facts", "tiny", "--questions", "facts.json"];
    const { code, stdout, stderr } = await run([...facts, "--steer", "formal:fixed,5"]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^unsteered .*\nsteered .*\n.* by steering/m)]);
    expect(stderr).toMatch(/^note: tiny is a toy .*\nnote: \S*tiny-formal\.safetensors steers with up to 5, 4 times the stated 1\.3; .*\n/);
    expect(await run([...facts, "--steer", "formall"])).toMatchObject({ code: 3, stderr: expect.stringMatching(/did you mean formal\?/) });
  }, 60_000);

  test("a command that cannot run prints nothing on stdout and creates no folder", async () => {
    for (const command of ["trace", "generate"]) {
      const { code, stdout, stderr } = await run([command, "tiny", "Hi", "--steer", "tiny-italian:fixed,1,layers=40"]);
      expect([code, stdout, stderr]).toEqual([3, "", expect.stringMatching(/the vector has no layer 40/)]);
    }
    const data = ["--positive", "ITA", "--negative", "ENG"];
    for (const command of [["extract", "none", ...data], ["probe", "train", "none", ...data], ["demo", "none"]]) {
      expect(await run([...command, "--out", "new/file"])).toMatchObject({ code: 3, stdout: "" });
      expect(readdirSync(space.folder)).not.toContain("new");
    }
  }, 180_000);

  test("extract and generate with the embedded model and its datasets", async () => {
    const extracted = await run([
      "extract", "tiny", "--positive", "FRA", "--negative", "ENG", "--layers", "3-5", "--out", "fr.safetensors", "--json",
    ]);
    expect(JSON.parse(extracted.stdout)).toMatchObject({ nLayers: 3, nSteps: 30, width: 192 });
    const generated = await run(["generate", "tiny", "How do I plan the picnic?", "--steer", "fr.safetensors:dyn,p=0.7", "--quiet"]);
    expect(generated.stdout).toMatch(/pique-nique/);
  }, 180_000);
});
