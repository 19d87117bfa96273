import { LEAST_VARIETY } from "../calibrate/index.js";
import { seededRandom } from "../maths/index.js";
import type { MeasureGain } from "./likelihood-gain.js";
import { SteeringVector, norms, sharedForm, vectorHash, type Health, type Provenance, type VectorData } from "../vector/index.js";

/** A vector has to move the answers this many times as much as a random one, or its direction hardly matters. */
const LEAST_RATIO = 1.5;
/** Nats per token. Measured on 0.5B, over 8 questions: random vectors have -0.01 to 0.02, the weakest vector with an effect 0.05. */
const LEAST_GAIN = 0.03;
/** Nats per token. Measured: a language gains more than 1, a tone that every answer shows 0.3, one that many answers lack 0.1 to 0.2. */
const CLEAR_GAIN = 0.2;

/**
 * A vector with one random direction per layer and the given vector's norms per layer and step. One direction for all steps, because the
 * steps of a real vector are similar, too.
 */
export function randomControl(vector: VectorData, seed = 1): SteeringVector {
  const { layers, nSteps, width } = vector;
  const random = seededRandom(seed);
  const data = new Float32Array(vector.data.length);
  norms(vector).forEach((ofSteps, layer) => {
    const direction = Float64Array.from({ length: width }, () => normal(random));
    const length = Math.hypot(...direction);
    ofSteps.forEach((norm, step) => {
      const at = (layer * nSteps + step) * width;
      for (let i = 0; i < width; i++) data[at + i] = (direction[i]! / length) * norm;
    });
  });
  const { model, madeBy, property } = vector.provenance;
  return new SteeringVector({
    ...vector, layers: [...layers], data,
    provenance: {
      property: `random, with the norms of ${property}`, model, madeBy, ...sharedForm([vector.provenance]), // asked likewise
      origin: { kind: "derived", expression: `random (seed ${seed})`, from: [{ property, hash: vectorHash(vector) }] },
    },
  });
}

/** How to measure what a vector does: KL per token at an alpha, in nats, and `gainMeasure`'s gain of a vector from words. */
export interface EffectMeasures {
  kl: (vector: SteeringVector) => Promise<number>;
  /** `own`: the vector's gain at its calibrated schedule, where it is known. */
  gain?: { measure: MeasureGain; own?: number | undefined } | undefined;
  /** What is wrong with all strengths that were tried, in words. */
  problem?: string | undefined;
}

/**
 * Adds to a vector's health what it does to answers beside a random vector with its norms. A contrast that is consistent is weak if it
 * moves the next-token distribution no further than chance, or the answers hardly towards its description, or into repetition; at most
 * usable if it moves them there a little.
 */
export async function withEffect(vector: SteeringVector, alpha: number, { kl, gain, problem }: EffectMeasures): Promise<SteeringVector> {
  const { health } = vector.provenance;
  if (!health) return vector;
  const control = randomControl(vector);
  const kls = { kl: await kl(vector), randomKl: await kl(control) };
  if (!Object.values(kls).every(Number.isFinite)) { // so strong that the model's output is not finite
    return problem === undefined ? vector : withHealth(vector, weakened(health, problem));
  }
  const schedule = vector.provenance.calibration?.schedule ?? { kind: "fixed", alpha };
  const gainOf = async (one: VectorData): Promise<number> => (await gain!.measure(one, schedule)).gain;
  const gains = gain && { gain: gain.own ?? await gainOf(vector), randomGain: await gainOf(control) };
  const known = gains && Object.values(gains).every(Number.isFinite) ? gains : undefined; // unknown if all answers are empty
  const variety = varietyOf(vector.provenance);
  const effect = { alpha, ...kls, ...known, ...(variety !== undefined && { variety }) };
  return withHealth(vector, besideRandom(health, effect, problem));
}

function withHealth(vector: SteeringVector, health: Health): SteeringVector {
  return new SteeringVector({ ...vector, provenance: { ...vector.provenance, health } });
}

/** The variety of answers at the calibrated strength. */
function varietyOf({ calibration }: Provenance): number | undefined {
  return calibration && "variety" in calibration ? calibration.variety : undefined;
}

function besideRandom(health: Health, effect: NonNullable<Health["effect"]>, known: string | undefined): Health {
  if (["noise", "weak"].includes(health.verdict)) return { ...health, effect };
  const problem = known ?? lackOf(effect);
  if (problem !== undefined) return { ...weakened(health, problem), effect };
  const { gain = Infinity } = effect;
  if (gain >= CLEAR_GAIN) return { ...health, effect };
  const little = "steered answers move only a little towards the description, so read some before you rely on it";
  return { ...health, verdict: "usable", reason: `${health.reason}; ${little}`, effect };
}

function weakened(health: Health, problem: string): Health {
  if (["noise", "weak"].includes(health.verdict)) return health;
  return { ...health, verdict: "weak", reason: `${problem}; otherwise ${health.verdict}: ${health.reason}` };
}

/** What an effect lacks, in words. */
function lackOf({ alpha, kl, randomKl, gain, variety = 1 }: NonNullable<Health["effect"]>): string | undefined {
  if (kl < LEAST_RATIO * randomKl) return "the vector moves the answers hardly more than a random one with its norms";
  if (variety < LEAST_VARIETY) {
    return `at alpha ${alpha} answers repeat themselves: they have ${(100 * variety).toFixed(0)} % as many different tokens as unsteered ones`;
  }
  if (gain === undefined || gain >= LEAST_GAIN) return undefined;
  return "steered answers are hardly closer to the description than unsteered ones";
}

/** A draw from the standard normal distribution, by Box and Muller's method. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
