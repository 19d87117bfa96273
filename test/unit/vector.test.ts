import { expect, test } from "@jest/globals";
import { SteeringError } from "../../lib/errors.js";
import { assertMadeFor, directionIndex, norms, type ModelFingerprint } from "../../lib/vector/index.js";
import { provenance, smallVector } from "../support/vectors.js";

test("directionIndex is the step itself, up to the last", () => {
  for (const tail of ["mean", "hold", "stop"] as const) {
    expect([0, 1, 2].map((step) => directionIndex(3, step, tail))).toEqual([0, 1, 2]);
  }
});

test("beyond the last step: the mean (index nSteps), the last, or none", () => {
  for (const step of [3, 4, 1000]) {
    expect(directionIndex(3, step, "mean")).toBe(3);
    expect(directionIndex(3, step, "hold")).toBe(2);
    expect(directionIndex(3, step, "stop")).toBeUndefined();
  }
});

const OTHER: ModelFingerprint = {
  architecture: "llama", nLayer: 30, nEmbd: 576, nHead: 9, tokenizerHash: "fnv:9", fileHash: "sha256-sampled:9", quantisation: "Q4_1",
};
const SHAPE = ["nLayer", "nEmbd", "nHead"];

function mismatch(model: ModelFingerprint, allowMismatch?: boolean): SteeringError | undefined {
  try {
    assertMadeFor(smallVector(), model, allowMismatch);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(SteeringError);
    return error as SteeringError;
  }
}

test("a vector is accepted by the model that made it", () => {
  expect(mismatch(provenance().model)).toBeUndefined();
  expect(mismatch(provenance().model, true)).toBeUndefined();
});

test.each(Object.keys(OTHER) as Array<keyof ModelFingerprint>)("a model that differs in %s alone is refused by that name", (field) => {
  const made = provenance().model;
  const error = mismatch({ ...made, [field]: OTHER[field] })!;
  expect(error.code).toBe("E_MODEL_MISMATCH");
  expect(error.message).toContain("ITA vs ENG");
  expect(error.message).toContain(`(${field} ${made[field]}, here ${OTHER[field]})`);
  // Advice that cannot help is not given.
  expect(error.message.includes("--allow-mismatch")).toBe(!SHAPE.includes(field));
});

test("both models and every difference are named", () => {
  const { message } = mismatch(OTHER)!;
  const { architecture, nLayer, nEmbd, quantisation } = OTHER;
  expect(message).toContain(": gemma3 with 18 layers of width 640, Q4_K_M; this one is "
    + `${architecture} with ${nLayer} layers of width ${nEmbd}, ${quantisation} (`);
  expect(mismatch({ ...provenance().model, fileHash: "sha256-sampled:3" })!.message)
    .toContain("another model: both are gemma3 with 18 layers of width 640, Q4_K_M (fileHash ");
  for (const [field, here] of Object.entries(OTHER)) expect(message).toMatch(new RegExp(`${field} [^;]+, here ${here}[;)]`));
});

test("allowMismatch lets pass what has the same shape, nothing else", () => {
  const made = provenance().model;
  for (const field of Object.keys(OTHER) as Array<keyof ModelFingerprint>) {
    const allowed = mismatch({ ...made, [field]: OTHER[field] }, true);
    expect({ field, code: allowed?.code }).toEqual({ field, code: SHAPE.includes(field) ? "E_MODEL_MISMATCH" : undefined });
  }
  expect(mismatch({ ...OTHER, nLayer: made.nLayer, nEmbd: made.nEmbd, nHead: made.nHead }, true)).toBeUndefined();
  expect(mismatch(OTHER, true)?.code).toBe("E_MODEL_MISMATCH");
});

test("norms: one Euclidean norm per layer and step", () => {
  // |(3, 4)| = 5, |(−6, 8)| = 10, |(0, 0)| = 0, |(5, −12)| = 13
  const vector = { ...smallVector(), nSteps: 2, width: 2, data: Float32Array.of(3, 4, -6, 8, 0, 0, 5, -12) };
  expect(norms(vector)).toEqual([[5, 10], [0, 13]]);
});

test("norms scale with the vector and do not see its sign", () => {
  const vector = smallVector();
  const doubled = norms({ ...vector, data: vector.data.map((value) => -2 * value) });
  expect(doubled).toEqual(norms(vector).map((row) => row.map((norm) => 2 * norm))); // times 2 is exact
});
