import { requireNumber } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { scoreTokens } from "../generate/index.js";
import { promptTokens, resolveFormat, type FormatOptions } from "../prompt/index.js";
import type { EvaluatedText } from "./evaluator.js";
import { isOfText } from "./judge-each.js";
import { checkRubric, type Rubric, type ScaleRubric, type YesNoRubric } from "./rubric.js";

/** A judge's verdict on an answer. */
export interface Verdict {
  /** Yes-or-no rubric: probability of the first label, from 0 to 1. Scale: mean score. */
  value: number;
  /** Total probability of the words of the verdict, before they were renormalised; the rest went to other words. */
  mass: number;
}

/** Options of `Judge.of`. */
export interface JudgeOptions {
  /** Variables for the chat template; default `{ enable_thinking: false }`. */
  templateVariables?: FormatOptions["templateVariables"];
  /** Least total probability of the words of a verdict; default 0.5. An answer with less is undetermined. */
  leastMass?: number | undefined;
}

/** The probability of each word as the reply to a request. */
type Reader = (request: string, words: readonly string[], signal?: AbortSignal) => Promise<number[]>;

const LEAST_MASS = 0.5;
/** For models that would think first; other templates ignore it. */
const WITHOUT_THOUGHTS = { enable_thinking: false };
/** Judged first, to see whether the model gives verdicts. */
const SAMPLE: EvaluatedText = { question: "What is the capital of France?", text: "The capital of France is Paris." };
const SAMPLE_ASK = "Does the answer name a city?";
const YES_NO = { words: ["Yes", "No"], how: "Reply with one word, Yes or No." };
const FIRST_SECOND = { words: ["1", "2"], how: "Reply with one number, 1 or 2." };

/**
 * A judge: any instruct model, which reads a question and an answer and is asked about the answer. Its verdict is read off the
 * probabilities of the words with which it may reply; nothing is generated (docs/method.md §11).
 */
export class Judge {
  private constructor(private readonly reader: Reader, private readonly leastMass: number) {}

  /**
   * Make a judge of a model with a chat template. The caller keeps ownership of the model.
   *
   * @throws SteeringError E_BAD_GGUF (a base model, or one that does not reply with Yes or No), E_BAD_ARGUMENT
   */
  static async of(model: Engine, { leastMass = LEAST_MASS, templateVariables = WITHOUT_THOUGHTS }: JudgeOptions = {}): Promise<Judge> {
    requireNumber("leastMass", leastMass, { min: 0, max: 1 });
    const { path } = model.info;
    if (resolveFormat(model) !== "chat") {
      throw new SteeringError("E_BAD_GGUF", `${path} has no chat template, so it cannot judge; expected an instruct model`);
    }
    const reader: Reader = (request, words, signal) => wordProbabilities(model, request, words, { templateVariables, signal });
    const mass = sum(await reader(ask(SAMPLE, SAMPLE_ASK, YES_NO.how), YES_NO.words));
    if (!(mass >= leastMass)) {
      throw new SteeringError("E_BAD_GGUF", `${path} does not judge: asked a question of yes or no, it gives both words `
        + `${(100 * mass).toFixed(1)} % of the probability; expected at least ${100 * leastMass} %`);
    }
    return new Judge(reader, leastMass);
  }

  /**
   * Judge answers in one batch.
   *
   * @returns one verdict per answer; null if the answer is empty or too long, or if the model gives no verdict
   * @throws SteeringError E_BAD_ARGUMENT (not a rubric), E_ABORTED, E_DISPOSED, E_NOT_FINITE
   */
  async judge(
    answers: readonly EvaluatedText[], rubric: Rubric, { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Array<Verdict | null>> {
    checkRubric(rubric);
    const one = (answer: EvaluatedText): Promise<Verdict | undefined> =>
      (rubric.kind === "scale" ? this.onScale(answer, rubric, signal) : this.yesOrNo(answer, rubric, signal));
    return Promise.all(answers.map((answer) => (answer.text.trim() === "" ? null : verdictOr(one(answer)))));
  }

  /**
   * Compare answers to the same question in one batch, each pair in both orders, which cancels a preference for the first or the second.
   *
   * @param rubric one that has `compare`
   * @returns per answer, the probability that it has more of the rubric's first label than its `reference`; null as in `judge`, and for
   *   equal texts
   * @throws SteeringError E_BAD_ARGUMENT (a rubric without `compare`), E_ABORTED, E_DISPOSED, E_NOT_FINITE
   */
  async compare(
    answers: readonly EvaluatedText[], rubric: YesNoRubric, { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Array<Verdict | null>> {
    checkRubric(rubric);
    const { compare: asked, name } = rubric;
    if (asked === undefined) throw new SteeringError("E_BAD_ARGUMENT", `the rubric ${name} does not say how to compare; give it "compare"`);
    const one = async ({ question, text, reference }: EvaluatedText): Promise<Verdict | undefined> => {
      const inOrder = (texts: readonly string[]): Promise<number[]> =>
        this.reader(askOfTwo(question, texts, asked), FIRST_SECOND.words, signal);
      const [plain, swapped] = await Promise.all([inOrder([text, reference!]), inOrder([reference!, text])]);
      return this.meanOf([plain, [...swapped].reverse()], [1, 0]);
    };
    const isComparable = ({ text, reference = "" }: EvaluatedText): boolean =>
      text.trim() !== "" && reference.trim() !== "" && text.trim() !== reference.trim();
    return Promise.all(answers.map((answer) => (isComparable(answer) ? verdictOr(one(answer)) : null)));
  }

  private async yesOrNo(answer: EvaluatedText, rubric: YesNoRubric, signal: AbortSignal | undefined): Promise<Verdict | undefined> {
    const read = (question: string): Promise<number[]> => this.reader(ask(answer, question, YES_NO.how), YES_NO.words, signal);
    const [plain, opposite] = await Promise.all([read(rubric.ask), rubric.opposite === undefined ? undefined : read(rubric.opposite)]);
    return this.meanOf([plain, ...(opposite ? [[...opposite].reverse()] : [])], [1, 0]);
  }

  private async onScale(answer: EvaluatedText, rubric: ScaleRubric, signal: AbortSignal | undefined): Promise<Verdict | undefined> {
    const { ask: asked, least, most } = rubric;
    const scores = Array.from({ length: most - least + 1 }, (_, index) => least + index);
    const how = `Reply with one number from ${least} to ${most}.`;
    return this.meanOf([await this.reader(ask(answer, asked, how), scores.map(String), signal)], scores);
  }

  /** The mean over readings of the expected value, if each reading has enough mass. */
  private meanOf(readings: ReadonlyArray<readonly number[]>, values: readonly number[]): Verdict | undefined {
    const masses = readings.map(sum);
    const mass = Math.min(...masses);
    if (!(mass >= this.leastMass && mass > 0)) return undefined;
    const expected = readings.map((reading, index) => sum(reading.map((p, i) => p * values[i]!)) / masses[index]!);
    return { value: sum(expected) / expected.length, mass };
  }
}

function ask({ question, text }: EvaluatedText, asked: string, how: string): string {
  const about = question.trim() === "" ? "Read this answer." : `Read this question and an answer to it.\n\nQuestion:\n${question.trim()}`;
  return `${about}\n\nAnswer:\n${text.trim()}\n\n${asked} ${how}`;
}

function askOfTwo(question: string, [first, second]: readonly string[], asked: string): string {
  const about = question.trim() === "" ? "Read these two answers."
    : `Read this question and two answers to it.\n\nQuestion:\n${question.trim()}`;
  return `${about}\n\nAnswer 1:\n${first!.trim()}\n\nAnswer 2:\n${second!.trim()}\n\n${asked} ${FIRST_SECOND.how}`;
}

/** The probability that the model replies with each word, whether in capitals or small letters and with or without a space before it. */
async function wordProbabilities(
  model: Engine, request: string, words: readonly string[],
  { templateVariables, signal }: Pick<FormatOptions, "templateVariables"> & { signal: AbortSignal | undefined },
): Promise<number[]> {
  const prompt = await promptTokens(model, request, { format: "chat", ...(templateVariables && { templateVariables }) });
  return Promise.all(words.map(async (word) => {
    const forms = [word, word.toLowerCase(), word.toUpperCase()].flatMap((form) => [form, ` ${form}`]);
    const tokenised = forms.map((form) => model.tokenise(form, { bos: false })).filter((tokens) => tokens.length > 0);
    const distinct = [...new Map(tokenised.map((tokens) => [tokens.join(), tokens])).values()];
    const found = await Promise.all(distinct.map((tokens) => scoreTokens(model, prompt, tokens, { ...(signal && { signal }) })));
    return sum(found.map((logProbabilities) => Math.exp(sum(logProbabilities))));
  }));
}

async function verdictOr(verdict: Promise<Verdict | undefined>): Promise<Verdict | null> {
  try {
    return await verdict ?? null;
  } catch (error) {
    if (isOfText(error)) return null;
    throw error;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
