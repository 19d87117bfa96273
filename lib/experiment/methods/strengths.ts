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
/** With its answers the others are compared. */
const UNSTEERED: RunSetting = { label: "no-icl", prompt: "no-icl", steer: [] };
/** The number of further strengths, at most. */
const FURTHER = 3;

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
type Outcome = z.infer<typeof outcomeSchema>;
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
  /** Called before a further strength is tried. */
  onFurther: () => void;
}

/** The strengths of a method. */
export interface Range {
  /** Those that are tried in any case, weakest first. */
  strengths: readonly number[];
  /** The largest number that the method takes. */
  largest: number;
  settingOf(strength: number): RunSetting;
}

/**
 * Tries a method's strengths on the validation questions, and chooses the one with the highest mean score, the weakest if several are
 * equal: the same rule for every method (docs/method.md §10). While the best is the weakest or the strongest tried, up to `FURTHER` more
 * are tried on that side.
 */
export async function chosenStrength(
  model: Engine, { strengths, largest, settingOf }: Range, trial: Trial,
): Promise<NonNullable<Strengths[Method]>> {
  let reference: ResultRecord[] | undefined;
  const tryAll = async (values: readonly number[]): Promise<Outcome[]> => {
    const answers = await answersIn(model, [...(reference ? [] : [UNSTEERED]), ...values.map(settingOf)], trial);
    reference ??= answers.shift()!;
    const outcomes: Outcome[] = [];
    for (const [index, own] of answers.entries()) {
      const parts = await partsOf(own, reference, trial);
      const part = (name: "effect" | "kept" | "fluency"): number => mean(parts.map((each) => each[name]));
      outcomes.push({
        strength: values[index]!, score: mean(parts.map(scoreOf)), effect: part("effect"), kept: part("kept"), fluency: part("fluency"),
      });
    }
    return outcomes;
  };
  let tried = await tryAll(strengths);
  for (let n = 0; n < FURTHER; n++) {
    const next = beyond(tried, largest);
    if (next === undefined) break;
    trial.onFurther();
    const outcomes = await tryAll([next.strength]);
    tried = next.isStronger ? [...tried, ...outcomes] : [...outcomes, ...tried];
  }
  return { chosen: bestOf(tried).strength, tried };
}

/** The first of those with the highest score. */
function bestOf(tried: readonly Outcome[]): Outcome {
  return tried.reduce((a, b) => (b.score > a.score ? b : a));
}

/**
 * The strength that follows in the ratio of the last two, on the side where the best is the last one; undefined if the best lies between
 * others, or if it is the largest already. Where nothing scores at all, the stronger side.
 *
 * @param tried weakest first
 */
export function beyond(tried: readonly Outcome[], largest: number): { strength: number; isStronger: boolean } | undefined {
  const best = bestOf(tried);
  const isStronger = best.score === 0 || best === tried.at(-1);
  if (!isStronger && best !== tried[0]) return undefined;
  const [last, before] = isStronger ? [tried.at(-1)!, tried.at(-2)!] : [tried[0]!, tried[1]!];
  const strength = Math.min(largest, Number((last.strength ** 2 / before.strength).toPrecision(2)));
  return strength === last.strength ? undefined : { strength, isStronger };
}

/** The answers to the validation questions, per setting. */
async function answersIn(model: Engine, settings: readonly RunSetting[], trial: Trial): Promise<ResultRecord[][]> {
  const { prompts, signal } = trial;
  const answer = (index: number, inner: AbortSignal): Promise<ResultRecord[]> =>
    answerByMethods(model, index, prompts[index]!, { ...trial, settings, signal: inner, measuresKl: false });
  const records = settings.map((): ResultRecord[] => []);
  for await (const answers of inOrder([...prompts.keys()], answer, signal)) {
    answers.forEach((record, index) => records[index]!.push(record));
  }
  return records;
}

/** @param reference the unsteered answers to the same questions */
async function partsOf(
  records: readonly ResultRecord[], reference: readonly ResultRecord[], { judges: { effects, kept }, signal }: Trial,
): Promise<Array<Pick<Outcome, "effect" | "kept" | "fluency">>> {
  const texts = records.map((record, index) =>
    ({ question: record.question, text: judgedText(record), reference: judgedText(reference[index]!) }));
  const hits = records.map(() => true);
  for (const judge of effects) {
    (await judge.evaluate(texts, signal)).forEach(({ hit }, index) => { hits[index] &&= hit === true; });
  }
  const contents = await kept.evaluate(texts, signal);
  return records.map((record, index) => {
    const content = contents[index]![""];
    const usual = reference[index]!.perplexity;
    return {
      effect: Number(hits[index]), kept: typeof content === "number" ? content : 0,
      fluency: usual === null ? 0 : fluencyOf(record.perplexity ?? undefined, usual),
    };
  });
}
