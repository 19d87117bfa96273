import { extract, loadDataset, loadModel, prompts, schedule, type Model, type ScheduleInput, type VectorData } from "../../../lib/index.js";
import { datasets } from "../../../lib/experiments.js";
import type { GenerateOptions } from "../../../lib/generate/index.js";
import { availableProcessors } from "../../../lib/engine/processors.js";
import { PlainLoop } from "./plain-loop.js";
import type { Measured } from "./rounds.js";

export const QUESTION = "Why do leaves change colour in autumn?";
/** First words of answers, so that generations at once have different texts, though their prompts differ by one token only. */
export const FIRST_WORDS = [
  "The", "In", "A", "It", "This", "When", "They", "There", "As", "Because", "We", "One", "Most", "During", "Leaves", "Trees", "For",
  "After", "Many", "Some", "Each", "At", "If", "With", "Our", "Before", "Once", "Colour", "Green", "Red", "Sunlight", "Water",
];
/** The properties of Dyn; the first is the one of everything else. */
const PROPERTIES = [["ITA", "ENG"], ["ENi2f", "ENf2i"], ["FRA", "ENG"]] as const;

/** Questions with answers, to be judged. */
const [TEXTS, N_TEXTS] = ["ITA_test", 48];

/** A question and its answer, as tokens and as a text. */
export interface Text {
  prompt: readonly number[];
  answer: readonly number[];
  text: string;
}

export interface SubjectOptions {
  tokens: number;
  support: number;
  threads: number | undefined;
  /** The most sequences and cells that a row needs. */
  sequences: number;
  cells: number;
  /** How many properties have a vector, which is extracted or comes from the cache. */
  vectors: number;
}

/** How many generations at once, and what steers each: vectors and their schedule. */
export interface Load {
  atOnce: number;
  steer?: (generation: number) => Array<{ vector: VectorData; schedule: ScheduleInput }>;
  pipeline?: GenerateOptions["pipeline"];
}

export const FIXED = schedule.fixed(0.5);
export const DYNAMIC = schedule.dynamic({ topP: 0.5 });

/** A model that is measured: ours, and a plain llama_decode loop with the same context in a process of its own. */
export class Subject implements AsyncDisposable {
  private constructor(
    readonly model: Model, readonly plain: PlainLoop, readonly vectors: readonly VectorData[], readonly texts: readonly Text[],
    readonly options: SubjectOptions,
  ) {}

  static async open(path: string, options: SubjectOptions): Promise<Subject> {
    const threads = options.threads ?? availableProcessors();
    const { sequences, cells } = options;
    const model = await loadModel(path, { contextSize: cells, maxSequences: sequences, threads });
    const plain = await PlainLoop.start({ model: model.info.path, nCtx: cells, nSeqMax: sequences, threads });
    const vectors: VectorData[] = [];
    const folder = datasets.folder(path);
    for (const [positive, negative] of PROPERTIES.slice(0, options.vectors)) {
      const sides = { positive: await loadDataset(positive, folder), negative: await loadDataset(negative, folder) };
      vectors.push(await extract(model, { ...sides, support: options.support, strength: false }));
    }
    const texts = (await loadDataset(TEXTS, folder)).rows.slice(0, N_TEXTS).map(({ input, output }) => (
      { prompt: model.tokenise(prompts.question(input)), answer: model.tokenise(` ${output}`, { bos: false }), text: output }
    ));
    return new Subject(model, plain, vectors, texts, options);
  }

  /** A question without an answer. */
  get prompt(): number[] {
    return this.model.tokenise(prompts.question(QUESTION));
  }

  /** The prompt and the first word of an answer. */
  promptOf(generation: number): number[] {
    const word = FIRST_WORDS[generation % FIRST_WORDS.length]!;
    return [...this.prompt, this.model.tokenise(` ${word}`, { bos: false })[0]!];
  }

  /**
   * Time per token of generations at once, from the first token to the last while all of them run; it contains whatever happens between
   * two decodes. `round` chooses the texts.
   */
  async generate({ atOnce, steer, pipeline = "auto" }: Load, round: number): Promise<Measured> {
    const times: number[][] = [];
    const results = await Promise.all(Array.from({ length: atOnce }, async (_, generation) => {
      const own: number[] = times[generation] = [];
      const stream = this.model.generate(this.promptOf(round + generation), {
        maxNewTokens: this.options.tokens, steer: steer?.(generation) ?? [], pipeline,
      });
      for await (const _token of stream) own.push(performance.now());
      return stream.result();
    }));
    const short = results.find(({ tokens }) => tokens.length < 2);
    if (short) throw new Error(`an answer ended after ${short.tokens.length} tokens: nothing to measure`);
    const mean = (of: "decodes" | "rows" | "guesses" | "hits"): number => results.reduce((sum, { work }) => sum + work[of], 0) / atOnce;
    const tokens = results.reduce((sum, result) => sum + result.tokens.length, 0) / atOnce;
    const work = { atOnce, tokens, decodes: mean("decodes"), rows: mean("rows"), guesses: mean("guesses"), hits: mean("hits") };
    return { seconds: secondsPerToken(times), work };
  }

  async plainGenerate(atOnce: number, round: number): Promise<Measured> {
    const { tokens } = this.options;
    const { seconds } = await this.plain.decode(atOnce, tokens, this.promptOf(round));
    return { seconds: seconds / (atOnce * tokens) };
  }

  /** Time of a plain decode of so many rows. */
  async plainRows(rows: number): Promise<Measured> {
    const { tokens } = this.options;
    return { seconds: (await this.plain.rows(rows, tokens, this.prompt)).seconds / tokens };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.model.dispose();
    await this.plain[Symbol.asyncDispose]();
  }
}

/** From when all generations have their first token until one of them has its last, with what the same decode brought the others. */
export function secondsPerToken(times: ReadonlyArray<readonly number[]>): number {
  const begin = Math.max(...times.map((own) => own[0]!));
  const last = Math.min(...times.map((own) => own.at(-1)!));
  const most = Math.max(...times.map((own) => own.length));
  const end = last + (last - begin) / (3 * most); // a third of a step: the others' tokens of the last decode arrive a moment later
  const between = times.flat().filter((time) => time > begin && time <= end);
  return (Math.max(...between) - begin) / 1000 / between.length;
}
