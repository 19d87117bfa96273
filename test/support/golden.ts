import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  extract, loadDataset, type Dataset, type Model, type QaVariant, type Steering, type VectorData, type WrittenSchedule,
} from "../../lib/index.js";
import { deltaPerplexity, withFoundAlphas } from "../../lib/generate/perplexity.js";
import { generateText } from "../../lib/generate/index.js";
import { iclTokens, promptGroups, questionTokens, QUESTION_STOP } from "../../lib/prompt/question.js";
import { decodeSafetensors } from "../../lib/formats/safetensors.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { delta, type StepMeans } from "../../lib/vector/index.js";
import { dot } from "./linear.js";
import { packageRoot } from "#native/prebuilt";

interface GoldenSetting {
  label: string;
  steer: Array<{ property: string; schedule: WrittenSchedule }>;
  maxNewTokens?: number;
}

interface GoldenResult {
  setting: string;
  /** Whose test prompts are asked, and which of them. */
  dataset: string;
  prompt: number;
  tokens: number[];
  /** Per property and step. */
  alphas: number[][];
  kls: Array<number[] | null>;
  /** Smallest lead of a chosen token's logit over the second. */
  margin: number;
  icl_perplexity: number;
  perplexity: number;
  delta_perplexity: number;
}

/** What test/golden/make.py wrote (test/golden/README.md). */
export interface Golden {
  provenance: {
    model: { sha256: string };
    config: {
      datasets: string; iclExamples: number; supportIndices: number[]; maxNewTokens: number;
      properties: Record<string, { positive: string; negative: string }>;
      settings: GoldenSetting[];
    };
  };
  /** Greedy tokens behind each drawn prompt, `times` of the support. */
  support: Array<{ dataset: string; times: number; prompt: number[]; tokens: number[] }>;
  prompts: Array<{
    dataset: string; index: number; question: string; noIcl: Record<QaVariant, number[]>; icl: Record<QaVariant, number[]>
  }>;
  results: GoldenResult[];
  /** By property, `[N, nLayer, width]`. */
  deltas: Map<string, Float32Array>;
}

export async function loadGolden(name: string): Promise<Golden> {
  const folder = join(packageRoot, "test", "golden", name);
  const golden = JSON.parse(await readFile(join(folder, "golden.json"), "utf8")) as Omit<Golden, "deltas">;
  const path = join(folder, "deltas.safetensors");
  const { tensors } = decodeSafetensors(await readFile(path), path);
  const deltas = new Map(
    [...tensors].filter(([key]) => key.startsWith("delta.")).map(([key, { data }]) => [key.slice("delta.".length), data]),
  );
  return { ...golden, deltas };
}

/** The same computed by us: one model against one golden file. */
export class Parity {
  private readonly vectors = new Map<string, VectorData>();
  private readonly iclOutputs = new Map<string, Promise<number[]>>();

  constructor(private readonly model: Model, private readonly golden: Golden) {}

  private get config() {
    return this.golden.provenance.config;
  }

  dataset(name: string, split: "train" | "test"): Promise<Dataset> {
    return loadDataset(`${name}_${split}`, join(packageRoot, this.config.datasets));
  }

  async vector(property: string): Promise<VectorData> {
    const known = this.vectors.get(property);
    if (known) return known;
    const { positive, negative } = this.config.properties[property]!;
    const { iclExamples, supportIndices, maxNewTokens } = this.config;
    const vector = await extract(this.model, {
      strength: false,
      positive: await this.dataset(positive, "train"), negative: await this.dataset(negative, "train"), iclExamples, supportIndices,
      maxNewTokens,
    });
    this.vectors.set(property, vector);
    return vector;
  }

  /** The same behind the golden file's own tokens: what a model of other weights thinks of the same text. */
  async forcedDelta(property: string): Promise<Pick<VectorData, "data" | "layers" | "nSteps" | "width">> {
    const { positive, negative } = this.config.properties[property]!;
    const layers = Array.from({ length: this.model.info.nLayer }, (_, layer) => layer);
    using context = await this.model.createContext({ nCtx: 1024, nSeqMax: this.config.maxNewTokens });
    const [ours, theirs] = [await this.forcedMeans(context, positive, layers), await this.forcedMeans(context, negative, layers)];
    return { layers, ...delta(ours, theirs) };
  }

  private async forcedMeans(context: Context, dataset: string, layers: number[]): Promise<StepMeans> {
    const nSteps = this.config.maxNewTokens;
    const capture = this.model.createCapture("head_out", layers, nSteps);
    for (const { times, prompt, tokens } of this.golden.support.filter((run) => run.dataset === dataset)) {
      const batch = new Batch();
      [...prompt, ...tokens.slice(0, nSteps - 1)].forEach((token, position) => {
        const step = position - (prompt.length - 1);
        batch.add(token, position, 0, step < 0 ? {} : { output: true, capture: { into: capture, step, weight: times } });
      });
      context.kvClear();
      await context.decode(batch);
    }
    const { sums, weights } = this.model.takeCapture(capture);
    const width = sums.length / layers.length / nSteps;
    return { nLayer: layers.length, nSteps, width, means: sums.map((sum, i) => sum / weights[Math.floor(i / width) % nSteps]!) };
  }

  /** Of all layers and steps: the smallest cosine with the golden delta, the largest relative error. */
  async compareDelta(property: string, { forced = false } = {}): Promise<{ cosine: number; error: number; nSteps: number }> {
    const { data, layers, nSteps, width } = forced ? await this.forcedDelta(property) : await this.vector(property);
    const expected = this.golden.deltas.get(property)!;
    let [cosine, error] = [1, 0];
    for (const [index] of layers.entries()) {
      for (let step = 0; step < nSteps; step++) {
        const ours = data.subarray((index * nSteps + step) * width).subarray(0, width);
        const theirs = expected.subarray((step * layers.length + index) * width).subarray(0, width);
        const [own, other, between] = [dot(ours, ours), dot(theirs, theirs), dot(ours, theirs)];
        cosine = Math.min(cosine, between / Math.sqrt(own * other));
        error = Math.max(error, Math.sqrt(Math.max(0, own + other - 2 * between) / other));
      }
    }
    return { cosine, error, nSteps };
  }

  /** Tokens of one of the golden prompts. */
  async promptTokens({ dataset, index, question }: Golden["prompts"][number], format: QaVariant): Promise<{
    icl: number[]; noIcl: number[]
  }> {
    const set = await this.dataset(dataset, "test");
    const group = promptGroups(set, this.config.iclExamples)[index]!;
    return { icl: iclTokens(this.model, set.instruction, group, format), noIcl: questionTokens(this.model, question, format) };
  }

  /** Tokens of what the model answers behind demonstrations, without the end mark; once for all settings. */
  private iclOutput(icl: number[], options: { maxNewTokens: number; stop: string[] }): Promise<number[]> {
    const key = JSON.stringify([icl, options.maxNewTokens]);
    const known = this.iclOutputs.get(key);
    if (known) return known;
    const output = generateText(this.model, icl, options).then(
      ({ tokens }) => tokens.map(({ token }) => token).filter((token) => !this.model.isEndOfGeneration(token)),
    );
    this.iclOutputs.set(key, output);
    return output;
  }

  /** One golden result: our tokens, readings and perplexities. */
  async result({ setting: label, dataset, prompt: index }: GoldenResult) {
    const setting = this.config.settings.find((candidate) => candidate.label === label)!;
    const steer: Steering[] = await Promise.all(setting.steer.map(async ({ property, schedule }) => ({
      vector: await this.vector(property), schedule,
    })));
    const prompt = this.golden.prompts.find((candidate) => candidate.dataset === dataset && candidate.index === index)!;
    const { icl, noIcl } = await this.promptTokens(prompt, "clean");
    const options = { maxNewTokens: setting.maxNewTokens ?? this.config.maxNewTokens, stop: [QUESTION_STOP] };
    const [output, iclOutput] = await Promise.all([generateText(this.model, noIcl, { ...options, steer }), this.iclOutput(icl, options)]);
    const tokens = output.tokens.map(({ token }) => token);
    const delta = await deltaPerplexity(this.model, { noIcl, icl, iclOutput }, { steer: withFoundAlphas(steer, output) });
    return { tokens, readings: output.tokens.map(({ readings }) => readings), delta };
  }
}
