import { expect, test } from "@jest/globals";
import { z } from "zod";
import { parsedBy, requireInteger, requireNumber, requireOneOf } from "../../lib/checks.js";
import { shown, SteeringError } from "../../lib/errors.js";

test.each([
  [() => requireInteger("seed", 0.5), "seed must be a whole number, not 0.5"],
  [() => requireInteger("n", 0, { min: 1 }), "n must be a whole number of at least 1, not 0"],
  [() => requireInteger("n", 9, { max: 8 }), "n must be a whole number of at most 8, not 9"],
  [() => requireInteger("threads", Infinity, { min: 1, max: 512 }), "threads must be a whole number from 1 to 512, not Infinity"],
  [() => requireInteger("n", "1"), 'n must be a whole number, not "1"'],
  [() => requireInteger("n", [1]), "n must be a whole number, not [1]"],
  [() => requireInteger("n", undefined), "n must be a whole number, not undefined"],
  [() => requireNumber("wanted", 0, { above: 0, max: 1 }), "wanted must be a number above 0 and at most 1, not 0"],
  [() => requireNumber("wanted", 1.5, { above: 0, max: 1 }), "wanted must be a number above 0 and at most 1, not 1.5"],
  [() => requireNumber("λ", NaN, { above: 0 }), "λ must be a number above 0, not NaN"],
  [() => requireNumber("factor", 0.5, { min: 1, max: 9 }), "factor must be a number from 1 to 9, not 0.5"],
  [() => requireOneOf("kind", "foo", ["yarn", "linear"]), 'kind must be one of yarn, linear, not "foo"'],
])("%# a refusal says the name, what was expected and what was found", (check, message) => {
  expect(check).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT", message }));
});

test("both bounds are included, and none is needed", () => {
  for (const value of [1, 512]) requireInteger("threads", value, { min: 1, max: 512 });
  for (const value of [-3, 0, 2 ** 60]) requireInteger("seed", value);
  requireNumber("factor", 1, { min: 1, max: 1 });
  requireOneOf("kind", "linear", ["yarn", "linear"]);
});

test("numbers that JSON does not have are shown as they are", () => {
  expect([NaN, -Infinity, 1.5, "x", undefined, [1]].map(shown)).toEqual(["NaN", "-Infinity", "1.5", '"x"', "undefined", "[1]"]);
});

test("a schema's first problem is refused with its place, or with the name of the whole", () => {
  const refusal = (problem: string): SteeringError => new SteeringError("E_BAD_RUN", `run.json: ${problem}`);
  const schema = z.object({ rows: z.array(z.object({ n: z.number().default(1) })) });
  expect(parsedBy(schema, { rows: [{}] }, refusal)).toEqual({ rows: [{ n: 1 }] });
  const refused = (value: unknown, message: RegExp): void =>
    expect(() => parsedBy(schema, value, refusal, "the file"))
      .toThrow(expect.objectContaining({ code: "E_BAD_RUN", message: expect.stringMatching(message) }));
  refused({ rows: [{}, { n: "x" }], more: 1 }, /^run\.json: rows\.1\.n: .*number/);
  refused([], /^run\.json: the file: .*object/);
});
