import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { extract, loadDataset, loadModel, type Model, type VectorData } from "../../lib/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { questionPrompt } from "../../lib/prompt/question.js";
import { Batch } from "../../lib/engine/index.js";
import { describeWithModel } from "../support/real-model.js";

const NAME = "smollm2-135m";
const describeModel = await describeWithModel(NAME);
const PROMPT = questionPrompt("What do bees make?");

describeModel(`identities on ${NAME} (Q4_1)`, () => {
  let model: Model;
  let vector: VectorData;

  beforeAll(async () => {
    model = await loadModel(NAME);
    vector = await extract(
      model,
      {
        strength: false, positive: await loadDataset("ITA"), negative: await loadDataset("ENG"), support: 3, maxNewTokens: 6,
        iclExamples: 2,
      },
    );
  }, 120_000);

  afterAll(() => model.dispose());

  test("alpha 0 is unsteered, in every schedule", async () => {
    const unsteered = await generateText(model, PROMPT, { maxNewTokens: 12 });
    for (const kind of ["fixed", "start", "diminishing"] as const) {
      const steered = await generateText(model, PROMPT, { maxNewTokens: 12, steer: [{ vector, schedule: { kind, alpha: 0 } }] });
      expect(steered.text).toBe(unsteered.text);
    }
    const capped = await generateText(model, PROMPT, { maxNewTokens: 12, steer: [{ vector, schedule: { kind: "dynamic", alphaMax: 0 } }] });
    expect(capped.text).toBe(unsteered.text);
  });

  test("Dyn with no strong stream measures no divergence", async () => {
    const result = await generateText(
      model, PROMPT, { maxNewTokens: 8, steer: [{ vector, schedule: { kind: "dynamic", strongAlpha: 0 } }] },
    );
    for (const { readings } of result.tokens) expect(Math.abs(readings[0]!.kl!)).toBeLessThan(1e-3);
  });

  test("the order of properties does not matter", async () => {
    const a = { vector, schedule: { kind: "fixed" as const, alpha: 0.7 } };
    const b = { vector, schedule: { kind: "start" as const, alpha: 1 } };
    const [forth, back] = [
      await generateText(model, PROMPT, { maxNewTokens: 10, steer: [a, b] }),
      await generateText(model, PROMPT, { maxNewTokens: 10, steer: [b, a] }),
    ];
    expect(back.text).toBe(forth.text);
  });

  test("the streamed pieces are the text", async () => {
    let streamed = "";
    const generation = generate(model, PROMPT, { maxNewTokens: 12, stop: ["Q:"] });
    let next = await generation.next();
    for (; !next.done; next = await generation.next()) streamed += next.value.text;
    expect(next.value.text).toBe(streamed);
    expect(streamed.length).toBeGreaterThan(10);
  });

  test("cached steering equals recomputing the whole sequence with the alphas that each position had", async () => {
    const { tokens } = await generateText(model, PROMPT, { maxNewTokens: 6, steer: [{ vector, schedule: { kind: "fixed", alpha: 1 } }] });
    const prompt = model.tokenise(PROMPT);
    const sequence = [...prompt, ...tokens.map(({ token }) => token)];
    const first = prompt.length - 1;
    using context = await model.createContext({ nCtx: 256, nSeqMax: 16 });
    const id = model.vectorHandle(vector);
    const batch = new Batch();
    const rows = sequence.slice(0, -1).map((token, position) => batch.add(token, position, 0, position < first ? {} :
      { output: true, terms: [{ vector: id, step: position - first, alpha: 1 }] })).slice(first);
    for (const row of rows) batch.sample(row);
    expect((await context.decode(batch)).samples.map(({ token }) => token)).toEqual(tokens.map(({ token }) => token));
  });
});
