import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { formatFor } from "../../lib/calibrate/measure-kl.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { probe as probes } from "../../lib/experiments.js";
import { extract, loadDataset, loadModel, prompts, SteeringVector, type Dataset, type Model, type PairsOrigin } from "../../lib/index.js";
import { randomControl } from "../../lib/extract/index.js";
import { runCommand, type Outcome } from "../support/command.js";
import { tinyWithChat } from "../support/tiny-chat.js";
import { scratch } from "../support/tiny-files.js";

const space = scratch();
const run = (...args: string[]): Promise<Outcome> => runCommand(args, { cwd: space.folder });
const SMALL = { support: 2, iclExamples: 1, maxNewTokens: 2, layers: [3] };
const MINUTE = 60_000;
let model: Model;
let path: string;
let [positive, negative]: Dataset[] = [];

beforeAll(async () => {
  path = await tinyWithChat(space.path("chat.gguf"));
  model = await loadModel(path, { threads: 1 });
  // Datasets of a user's own have no instruction.
  [positive, negative] = await Promise.all(["ITA", "ENG"].map(async (name) => {
    const { rows } = await loadDataset(name, datasetsFolder("tiny"));
    return { name, instruction: "", rows: rows.slice(0, 12) };
  })) as [Dataset, Dataset];
});

afterAll(() => {
  model.dispose();
  space[Symbol.dispose]();
});

const both = () => ({ positive: positive!, negative: negative! });

test("an extraction follows the model, or the format that is asked for, and says which", async () => {
  const chat = await extract(model, { ...both(), ...SMALL });
  const qa = await extract(model, { ...both(), ...SMALL, format: "qa" });
  const published = await extract(model, { positive: { ...positive!, instruction: "Answer." }, negative: negative!, ...SMALL });
  const brief = await extract(model, { ...both(), ...SMALL, system: "Be brief." });
  const made = [chat, qa, published, brief].map(({ provenance: { format, system } }) => [format, system]);
  expect(made).toEqual([["chat", undefined], ["qa", undefined], ["qa", undefined], ["chat", "Be brief."]]);
  expect(new Set([chat, qa, published, brief].map(({ data }) => data.join())).size).toBe(4);
  await chat.save(space.path("chat.safetensors"));
  expect((await SteeringVector.load(space.path("chat.safetensors"))).provenance).toEqual(chat.provenance);
  expect([chat.scale(2), chat.add(brief), chat.add(qa)].map(({ provenance }) => provenance.format)).toEqual(["chat", "chat", undefined]);
});

test("every kind of extraction records the template's variables, and its strength is measured with them", async () => {
  const how = { templateVariables: { mood: "calm" }, layers: [3], strength: false } as const;
  const made = await Promise.all([
    extract(model, { ...both(), ...SMALL, ...how }), extract(model, { ...both(), ...how, method: "mean", nPairs: 2 }),
    extract(model, { towards: "is glad", questions: ["Why?", "How?"], maxNewTokens: 1, ...how }),
    extract(model, { texts: { positive: ["glad"], negative: ["sad"], openings: ["I"] }, system: "Be brief.", ...how }),
  ]);
  expect(made.map(({ provenance: { templateVariables } }) => templateVariables)).toEqual(Array(4).fill({ mood: "calm" }));
  expect(made[3]!.provenance.system).toBe("Be brief.");
  await made[0]!.save(space.path("calm.safetensors"));
  expect((await SteeringVector.load(space.path("calm.safetensors"))).provenance).toEqual(made[0]!.provenance);
  expect(formatFor(made[0]!, {})).toEqual({ format: "chat", templateVariables: { mood: "calm" } });
  expect(formatFor(made[0]!, { templateVariables: {} })).toEqual({ format: "chat", templateVariables: {} });
  expect(formatFor(randomControl(made[3]!), {})).toEqual({ format: "chat", system: "Be brief.", templateVariables: { mood: "calm" } });
}, MINUTE);

test("so does an extraction from pairs, and raw leaves the question out", async () => {
  const options = { ...both(), method: "mean", layers: [3], nPairs: 4 } as const;
  const asked = { ...options, positive: { ...positive!, rows: positive!.rows.map((row) => ({ ...row, input: `${row.input} Why?` })) } };
  const other = { ...asked, negative: { ...negative!, rows: negative!.rows.map((row) => ({ ...row, input: `${row.input} Why?` })) } };
  const found = async (format?: "qa" | "raw") => Promise.all([options, other].map(
    (each) => extract(model, { ...each, ...(format && { format }) }),
  ));
  const [[chat, chatWhy], [raw, rawWhy]] = [await found(), await found("raw")] as [SteeringVector[], SteeringVector[]];
  expect([chat!.provenance.format, raw!.provenance.format]).toEqual(["chat", "raw"]);
  const read = ({ provenance: { origin } }: SteeringVector): string => (origin as PairsOrigin).promptsHash;
  expect(read(rawWhy!)).toBe(read(raw!));
  expect(new Set([read(chat!), read(chatWhy!), read(raw!)]).size).toBe(3);
});

test("a probe reads texts in the format that it was trained in, unless another is asked for", async () => {
  const trained = await probes.train(model, { ...both(), layers: [3], folds: 2, lambdas: [1], system: "Be brief." });
  expect(trained.provenance).toMatchObject({ format: "chat", system: "Be brief." });
  await probes.save(space.path("probe.safetensors"), trained);
  const loaded = await probes.load(space.path("probe.safetensors"));
  const text = [{ question: positive!.rows[0]!.input, text: positive!.rows[0]!.output }];
  const logit = async (options = {}): Promise<number> => (await probes.read(model, loaded, text, options))[0]!.logit;
  const own = await logit();
  expect(await logit({ format: "chat", system: "Be brief." })).toBe(own);
  expect(await logit({ format: "qa" })).not.toBe(own);
}, MINUTE);

test("on the command line a vector of another format is used with one notice", async () => {
  const QUESTION = positive!.rows[0]!.input;
  await (await extract(model, { ...both(), ...SMALL })).save(space.path("v.safetensors"));
  const generate = (...more: string[]): Promise<Outcome> =>
    run(
      "generate", path, QUESTION, "--steer", "v.safetensors:fixed,1", "--steer", "v.safetensors:start,1", "--max-new-tokens", "1", ...more,
    );
  const [same, other, quiet, inspected, moody] = await Promise.all([
    generate("--json"), generate("--format", "qa", "--json"), generate("--format", "qa", "--quiet"), run("inspect", "v.safetensors"),
    generate("--template-variable", "mood=1", "--json"),
  ]);
  expect(moody.stderr).toMatch(/^note: v\.safetensors was made with no template variables, but is used with the template variable mood=1; [^\n]+\n$/);
  expect(same.stderr).toBe("");
  expect(JSON.parse(same.stdout)).toMatchObject({ format: "chat", prompt: QUESTION });
  expect(other.stderr).toMatch(/^note: v\.safetensors was made in the format chat, but is used in the format qa; [^\n]+\n$/);
  expect(JSON.parse(other.stdout)).toMatchObject({ format: "qa", prompt: QUESTION });
  expect([quiet.code, quiet.stderr]).toEqual([0, ""]);
  expect(inspected.stdout).toMatch(/^prompt format +chat$/m);
}, MINUTE);

test("on the command line the model is asked in its own format, or continues a conversation", async () => {
  const QUESTION = positive!.rows[0]!.input;
  const messages = [{ role: "user", content: QUESTION }, { role: "assistant", content: "Yes." }, { role: "user", content: QUESTION }];
  writeFileSync(space.path("messages.json"), JSON.stringify(messages));
  const answer = async (prompt: string | typeof messages, options: Parameters<typeof prompts.tokens>[2]): Promise<string> => {
    const tokens = await prompts.tokens(model, prompt as never, options);
    return `${await model.generate(tokens, { maxNewTokens: 6, stop: options?.format === "qa" ? [prompts.QUESTION_STOP] : [] }).text()}\n`;
  };
  const asked = async (...args: string[]): Promise<string> =>
    (await run("generate", path, ...args, "--max-new-tokens", "6", "--quiet")).stdout;
  expect(
    await Promise.all([asked(QUESTION, "--system", "Be brief."), asked(QUESTION, "--format", "raw"), asked("--messages", "messages.json")]),
  )
    .toEqual([await answer(QUESTION, { system: "Be brief." }), await answer(QUESTION, { format: "raw" }), await answer(messages, {})]);
  expect((await run("generate", path, QUESTION, "--max-new-tokens", "1")).stderr).toMatch(/^1 token, /);
}, MINUTE);
