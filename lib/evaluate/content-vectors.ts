import { captureTexts, readableLayers } from "../capture/index.js";
import { engineVersion, type Embedder, type Engine } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import { dot, standardise } from "../maths/index.js";
import { judgeEach } from "./judge-each.js";

/** Turns texts into vectors of length 1, whose cosines say how close their content is. */
export interface ContentVectors {
  /** Everything that the vectors depend on. */
  readonly config: Record<string, unknown>;
  readonly versions: Record<string, string>;
  /** One vector per text; null for a text that is empty or too long. */
  of(texts: readonly string[], signal?: AbortSignal): Promise<Array<Float64Array | null>>;
}

/** The vectors of an embedding model. `prefix`: put before each text, as some models want, e.g. "clustering: " (nomic-embed-text). */
export async function embeddedTexts(embedder: Embedder, prefix = ""): Promise<ContentVectors> {
  return {
    config: { embedder: { ...await embedder.fingerprint() }, pooling: embedder.pooling, ...(prefix !== "" && { prefix }) },
    versions: { llamaCpp: engineVersion() },
    of: async (texts, signal) => {
      const embed = async (some: readonly string[]): Promise<Float32Array[]> =>
        embedder.embed(some.map((text) => prefix + text), signal ? { signal } : {});
      return (await judgeEach(texts, embed)).map((vector) => vector && Float64Array.from(vector));
    },
  };
}

/** A few neutral words before each text: a model's first position is unlike all others. */
const LEAD = "Text:";
/** In deviations: a smaller difference between styles is a rounding error. The last style's follows from the others. */
const LEAST_DIFFERENCE = 1e-6;

/** Texts whose states are read in several layers at once. */
export interface ReadAtOnce {
  /** Answers to the same questions, a list per style: the means of these lists differ only in style. */
  styles: readonly (readonly string[])[];
  /** Any others. */
  others: readonly string[];
  /** The layer to read, 0-based; default: all that can be read. */
  layer?: number | undefined;
}

/** The hidden states of a language model: the layers that were read, and the vectors of each. */
export interface HiddenStates {
  layers: readonly number[];
  at(layer: number): ContentVectors;
}

/**
 * The mean hidden states of a language model over a text's tokens, at `resid_post` of a layer. So that their cosines mean something,
 * they are standardised, feature by feature, and blind to style: the differences between the means of `styles` are taken out.
 *
 * @throws SteeringError E_NO_SITE, E_BAD_ARGUMENT (another layer), E_CONTEXT_FULL, E_NOT_FINITE, E_ABORTED
 */
export async function hiddenStates(
  model: Engine, { styles, others, layer: only }: ReadAtOnce, signal?: AbortSignal,
): Promise<HiddenStates> {
  const readable = readableLayers(model, "resid_post");
  if (only !== undefined && !readable.includes(only)) {
    throw new SteeringError("E_BAD_ARGUMENT", `layer ${only} cannot be read; expected one of ${readable.join(", ")}`);
  }
  const layers = only === undefined ? readable : [only];
  const texts = [...new Set([...styles.flat(), ...others])];
  const read = await meanStates(model, texts, layers, signal);
  const known = new Map(texts.map((text, index) => [text, read[index]!]));
  const fingerprint = { ...await model.fingerprint() };
  return {
    layers,
    at: (layer) => {
      const index = layers.indexOf(layer);
      const style = styleless(styles.map((own) => own.map((text) => known.get(text)![index]!)));
      return {
        config: { model: fingerprint, site: "resid_post", layer }, versions: { llamaCpp: engineVersion() },
        of: async (some, own) => {
          const states = await judgeEach(some, async (fit) => {
            const fresh = [...new Set(fit)].filter((text) => !known.has(text));
            const found = await meanStates(model, fresh, [layer], own);
            return fit.map((text) => known.get(text)?.[index] ?? found[fresh.indexOf(text)]![0]!);
          });
          return states.map((state) => state && style(state));
        },
      };
    },
  };
}

/** The mean over each text's tokens, one per layer. */
async function meanStates(
  model: Engine, texts: readonly string[], layers: readonly number[], signal: AbortSignal | undefined,
): Promise<Float64Array[][]> {
  const prompt = model.tokenise(LEAD);
  const answers = texts.map((text) => ({ prompt, answer: model.tokenise(` ${text.trim()}`, { bos: false }) }));
  const found: Float64Array[][] = [];
  for await (const { means, width } of captureTexts(model, answers, { site: "resid_post", layers, ...(signal && { signal }) })) {
    found.push(layers.map((_, index) => means.slice(index * width, (index + 1) * width)));
  }
  return found;
}

/**
 * Centres a state, divides each of its features by that feature's deviation, takes out the directions between the styles' means, and makes
 * its length 1.
 */
export function styleless(styles: ReadonlyArray<readonly Float64Array[]>): (state: Float64Array) => Float64Array {
  const { means, deviations } = standardise(styles.flat());
  const standard = (state: Float64Array): Float64Array =>
    state.map((value, index) => (deviations[index] === 0 ? 0 : (value - means[index]!) / deviations[index]!));
  const directions: Float64Array[] = [];
  const without = (state: Float64Array): Float64Array => directions.reduce((rest, direction) => {
    const along = dot(rest, direction);
    return rest.map((value, index) => value - along * direction[index]!);
  }, state);
  for (const own of styles) {
    const rest = without(meanOf(own.map(standard)));
    const length = Math.sqrt(dot(rest, rest));
    if (length > LEAST_DIFFERENCE) directions.push(rest.map((value) => value / length));
  }
  return (state) => {
    const rest = without(standard(state));
    const length = Math.sqrt(dot(rest, rest));
    return length > 0 ? rest.map((value) => value / length) : rest;
  };
}

function meanOf(states: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(states[0]!.length);
  for (const state of states) state.forEach((value, index) => { sum[index]! += value; });
  return sum.map((value) => value / states.length);
}
