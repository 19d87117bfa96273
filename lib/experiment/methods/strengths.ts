import { existsSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { parsedBy } from "../../checks.js";
import { inOrder } from "../../capture/index.js";
import { SteeringError } from "../../errors.js";
import type { Engine } from "../../engine/index.js";
import type { SteeringPart } from "../../evaluate/index.js";
import { parseJson, readUtf8, writeFileAtomic } from "../../formats/index.js";
import { mean } from "../../maths/index.js";
import type { Probe } from "../../probe/index.js";
import type { EvaluationPrompt } from "../../prompt/index.js";
import { fluencyOf, judgedText, scoreOf, type ResultRecord, type RunSetting } from "../../results/index.js";
import { answerByMethods } from "./answer.js";
import { METHODS, type Method, type MethodsConfig } from "./config.js";
import type { Judges } from "./judges.js";

const FILE = "strengths.json";
const MAX_BYTES = 2 ** 20;
/** The label of the unsteered answers, with which the others are compared. */
const UNSTEERED = "no-icl";

const outcomeSchema = z.strictObject({
  strength: z.number(),
  /** Mean score over the validation questions, and the means of its parts. */
  score: z.number(), effect: z.number(), kept: z.number(), fluency: z.number(),
});
const fileSchema = z.strictObject({
  /** What the strengths were chosen for. */
  of: z.record(z.string(), z.unknown()),
  methods: z.partialRecord(z.enum(METHODS), z.strictObject({ chosen: z.number(), tried: z.array(outcomeSchema) })),
});
type StrengthsFile = z.infer<typeof fileSchema>;
/** What each method tried on the validation questions, and what was chosen. */
export type Strengths = StrengthsFile["methods"];

/** The strengths of a comparison, kept in its folder: those of each method are written as soon as they are chosen. */
export class StrengthsStore {
  private constructor(private readonly path: string, private readonly content: StrengthsFile) {}

  /** Throws E_BAD_RUN if the folder holds the strengths of another comparison. */
  static async open(out: string, config: MethodsConfig, model: Engine): Promise<StrengthsStore> {
    const path = join(out, FILE);
    const { evaluationSize: _, ...asked } = config;
    const of = JSON.parse(JSON.stringify({ config: asked, model: { ...await model.fingerprint() } })) as StrengthsFile["of"];
    if (!existsSync(path)) {
      const store = new StrengthsStore(path, { of, methods: {} });
      await store.write();
      return store;
    }
    const json = parseJson(await readUtf8(path, "E_BAD_RUN", MAX_BYTES), path, "E_BAD_RUN");
    const content = parsedBy(fileSchema, json, (problem) => new SteeringError("E_BAD_RUN", `${path}: ${problem}`));
    if (isDeepStrictEqual(content.of, of)) return new StrengthsStore(path, content);
    throw new SteeringError("E_BAD_RUN", `${out} holds another comparison (${FILE} differs); choose another folder (--out)`);
  }

  get methods(): Strengths {
    return this.content.methods;
  }

  async keep(method: Method, found: NonNullable<Strengths[Method]>): Promise<void> {
    this.content.methods[method] = found;
    await this.write();
  }

  private write(): Promise<void> {
    return writeFileAtomic(this.path, `${JSON.stringify(this.content, null, 2)}\n`);
  }
}

/** What is needed to try strengths. */
export interface Trial {
  /** The validation questions. */
  prompts: readonly EvaluationPrompt[];
  vectors: readonly SteeringPart[];
  probes: ReadonlyMap<string, Probe>;
  judges: Judges;
  maxNewTokens: number;
  signal: AbortSignal | undefined;
  onAnswer: () => void;
}

/**
 * Tries settings on the validation questions, all at once, and chooses the one with the highest mean score, the weakest if several are
 * equal: the same rule for every method (docs/method.md §10).
 *
 * @param settings one per strength, weakest first
 */
export async function chosenStrength(
  model: Engine, strengths: readonly number[], settings: readonly RunSetting[], trial: Trial,
): Promise<NonNullable<Strengths[Method]>> {
  const { prompts, signal, judges } = trial;
  const asked: RunSetting[] = [{ label: UNSTEERED, prompt: "no-icl", steer: [] }, ...settings];
  const answer = (index: number, inner: AbortSignal): Promise<ResultRecord[]> =>
    answerByMethods(model, index, prompts[index]!, { ...trial, settings: asked, signal: inner, measuresKl: false });
  const records: ResultRecord[] = [];
  for await (const answers of inOrder([...prompts.keys()], answer, signal)) records.push(...answers);
  const parts = await partsOf(records, judges, signal);
  const tried = settings.map(({ label }, index) => {
    const own = parts.filter((_, at) => records[at]!.setting === label);
    const part = (name: "effect" | "kept" | "fluency"): number => mean(own.map((each) => each[name]));
    return {
      strength: strengths[index]!, score: mean(own.map(scoreOf)), effect: part("effect"), kept: part("kept"), fluency: part("fluency"),
    };
  });
  const best = tried.reduce((a, b) => (b.score > a.score ? b : a));
  return { chosen: best.strength, tried };
}

async function partsOf(
  records: readonly ResultRecord[], { effects, kept }: Judges, signal: AbortSignal | undefined,
): Promise<Array<{ effect: number; kept: number; fluency: number }>> {
  const unsteered = new Map(records.filter(({ setting }) => setting === UNSTEERED).map((record) => [record.prompt, record]));
  const texts = records.map((record) =>
    ({ question: record.question, text: judgedText(record), reference: judgedText(unsteered.get(record.prompt)!) }));
  const hits = records.map(() => true);
  for (const judge of effects) {
    (await judge.evaluate(texts, signal)).forEach(({ hit }, index) => { hits[index] &&= hit === true; });
  }
  const contents = await kept.evaluate(texts, signal);
  return records.map((record, index) => {
    const content = contents[index]![""];
    const usual = unsteered.get(record.prompt)!.perplexity;
    return {
      effect: Number(hits[index]), kept: typeof content === "number" ? content : 0,
      fluency: usual === null ? 0 : fluencyOf(record.perplexity ?? undefined, usual),
    };
  });
}
