import { expect, test } from "@jest/globals";
import type { Dataset } from "../../lib/dataset/dataset.js";
import { iclPrompt, promptGroups, questionPrompt, QUESTION_STOP } from "../../lib/prompt/question.js";

/** Rows q0/a0, q1/a1, … */
function dataset(nRows: number): Dataset {
  return { name: "D", instruction: "", rows: Array.from({ length: nRows }, (_, index) => ({ input: `q${index}`, output: `a${index}` })) };
}

// docs/method.md §2: consecutive groups of k+1, the first k demonstrations, the last the query; 499 rows, k = 4: 99 prompts.
test("499 rows with 4 demonstrations give 99 prompts", () => {
  const groups = promptGroups(dataset(499), 4);
  expect(groups).toHaveLength(99);
  expect(groups[0]).toEqual({
    demonstrations: [0, 1, 2, 3].map((row) => ({ input: `q${row}`, output: `a${row}` })),
    query: { input: "q4", output: "a4" },
  });
  // The last whole group is rows 490 to 494; 495 to 498 are dropped.
  expect(groups[98]!.demonstrations[0]!.input).toBe("q490");
  expect(groups[98]!.query.input).toBe("q494");
});

test.each([
  [5, 4, 1], [9, 4, 1], [10, 4, 2], [3, 0, 3], [160, 4, 32],
])("%d rows with %d demonstrations give %d prompts", (rows, k, prompts) => {
  const groups = promptGroups(dataset(rows), k);
  expect(groups).toHaveLength(prompts);
  expect(groups.every(({ demonstrations }) => demonstrations.length === k)).toBe(true);
  // No row twice, none out of order.
  const inOrder = groups.flatMap(({ demonstrations, query }) => [...demonstrations, query]);
  expect(inOrder).toEqual(dataset(rows).rows.slice(0, prompts * (k + 1)));
});

test("too few rows for one prompt is E_BAD_DATASET with both numbers", () => {
  expect(() => promptGroups(dataset(4), 4)).toThrow(expect.objectContaining({
    code: "E_BAD_DATASET", message: "dataset D has 4 rows; one prompt with 4 demonstrations needs 5",
  }));
});

test.each([-1, 1.5, NaN, Infinity])("%d demonstrations is E_BAD_ARGUMENT", (k) => {
  expect(() => promptGroups(dataset(10), k)).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
});

const GROUP = {
  demonstrations: [{ input: "What do bees make?", output: "Miele." }, { input: "Is snow cold?", output: "Sì." }],
  query: { input: "Who are you?", output: "never shown" },
};

// docs/method.md §2: instruction and a newline; per demonstration Q:{query}\nA:{answer}\n\n; last Q:{query}\nA:. No space after the colons.
test("the ICL prompt, character by character", () => {
  expect(iclPrompt("Rispondi in italiano.", GROUP)).toBe(
    "Rispondi in italiano.\n"
    + "Q:What do bees make?\nA:Miele.\n\n"
    + "Q:Is snow cold?\nA:Sì.\n\n"
    + "Q:Who are you?\nA:");
});

test("without an instruction the prompt begins with the first demonstration", () => {
  expect(iclPrompt("", GROUP)).toBe("Q:What do bees make?\nA:Miele.\n\nQ:Is snow cold?\nA:Sì.\n\nQ:Who are you?\nA:");
});

test("the no-ICL prompt is the ICL prompt without instruction and demonstrations", () => {
  expect(questionPrompt("Who are you?")).toBe("Q:Who are you?\nA:");
  expect(iclPrompt("", { ...GROUP, demonstrations: [] })).toBe(questionPrompt("Who are you?"));
  expect(iclPrompt("Rispondi.", GROUP).endsWith(questionPrompt("Who are you?"))).toBe(true);
});

test("an answer ends where the next question would begin", () => {
  expect(QUESTION_STOP).toBe("Q:");
  expect(questionPrompt("x").startsWith(QUESTION_STOP)).toBe(true);
});
