import { seededRandom } from "../maths/index.js";
import { SteeringVector, norms, sharedForm, vectorHash, type Health, type VectorData } from "../vector/index.js";

/** A vector has to move the answers this many times as much as a random one, or its direction hardly matters. */
const LEAST_RATIO = 1.5;

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

/**
 * Adds to a vector's health how far it moves the next-token distribution beside a random vector with its norms. A contrast that is
 * consistent but moves it no further than chance is weak.
 *
 * @param measure KL per token of a vector at this alpha, in nats
 */
export async function withEffect(
  vector: SteeringVector, alpha: number, measure: (vector: SteeringVector) => Promise<number>,
): Promise<SteeringVector> {
  const { health } = vector.provenance;
  if (!health) return vector;
  const effect = { alpha, kl: await measure(vector), randomKl: await measure(randomControl(vector)) };
  if (!Number.isFinite(effect.kl) || !Number.isFinite(effect.randomKl)) return vector; // so strong that the model's output is not finite
  return new SteeringVector({ ...vector, provenance: { ...vector.provenance, health: besideRandom(health, effect) } });
}

function besideRandom(health: Health, effect: NonNullable<Health["effect"]>): Health {
  const isDull = effect.kl < LEAST_RATIO * effect.randomKl && health.verdict !== "noise";
  return {
    ...health, effect,
    ...(isDull && {
      verdict: "weak" as const,
      reason: `the vector moves the answers hardly more than a random one with its norms; before that, ${health.verdict}: ${health.reason}`,
    }),
  };
}

/** A draw from the standard normal distribution, by Box and Muller's method. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
