import { describe, expect, test } from "@jest/globals";
import { codeOf } from "../../lib/page/logic/copy.js";
import { gateWith, howWords, readHow, type How } from "../../lib/page/logic/how.js";
import { gateWords, leftOf, spentWords } from "../../lib/page/logic/readings.js";
import { conversation, requestBody } from "../../lib/page/logic/request.js";
import { defaultSetting, isScheduled, KINDS, type Row, type ScheduleKind, type Use } from "../../lib/page/logic/setting.js";
import { scheduleWords, shorthand } from "../../lib/page/logic/shorthand.js";
import { fullAlpha, kindsFor, partOf, scheduleOf, steeringOf, type SteeringEntry } from "../../lib/page/logic/steering.js";
import { steeringInputSchema, type VectorEntry } from "../../lib/server/schemas/index.js";
import { parseSteer, steeringSpecSchema } from "../../lib/steering/index.js";

const SPEC = steeringSpecSchema.parse({ vector: "formal", schedule: { kind: "fixed", alpha: 0.75 } });
const ENTRY = {
  id: "formal", steering: SPEC, dynamic: { strongAlpha: 1.5, alphaMax: 1.5 }, source: "gallery", property: "x",
} as unknown as VectorEntry;
const ENTRIES = new Map([["formal", ENTRY]]);
const SCHEDULES = KINDS.filter(isScheduled);

const HOWS: How[] = [
  {}, { operator: "project" }, { operator: "ablate", keepNorm: true }, { keepNorm: true },
  { gate: { probe: "mood", above: 0.5 } }, { gate: { probe: "mood", below: 0.25, until: 0.5 } },
  { gate: { probe: "mood", above: 0, per: "prompt", shape: "smooth" } },
  { only: { from: 3 } }, { only: { to: 9 } }, { only: { from: 3, to: 9, words: "first", since: "a, \"b\" `${c}` \\ 'd'" } },
  { operator: "clamp", keepNorm: true, gate: { probe: "mood", above: 0.9, per: "prompt" }, only: { words: "first" } },
];

/** What one column of this kind does with the vector. */
function steered(kind: ScheduleKind, how: How, row: Partial<Row> = {}): SteeringEntry {
  const uses: Use[] = [{ id: "formal", layers: "0-1", how }];
  return steeringOf({ uses, columns: [{ kind, rows: { formal: row } }] }, 0, ENTRIES)[0]!;
}

describe("what a card says of a vector", () => {
  test("a gate has one threshold, whatever is changed, and in whatever order", () => {
    const chosen = gateWith(undefined, { probe: "mood" });
    expect(chosen).toEqual({ probe: "mood", above: 0.5 });
    const below = gateWith(chosen, { above: undefined, below: 0.25 });
    for (const changes of [{ per: "prompt" }, { shape: "smooth" }, { until: 0.5 }, { probe: "other" }] as const) {
      expect(gateWith(below, changes)).toEqual({ probe: "mood", below: 0.25, ...changes });
    }
  });

  test.each(SCHEDULES)("is what the server takes, and its shorthand means the same: %s", (kind) => {
    for (const how of HOWS) {
      for (const row of [{}, { alpha: 0.35, topP: 0.15, from: 2, to: 9, nats: 7, per: "answer", alphaMax: 1.25 }] as const) {
        const entry = steered(kind, how, row);
        expect(steeringInputSchema.parse([entry])).toHaveLength(1);
        const only = entry.only?.to === undefined ? entry.only : { from: 0, ...entry.only }; // the shorthand has both
        expect(parseSteer(shorthand(entry, "formal", (id) => id))).toEqual(steeringSpecSchema.parse({ ...entry, ...(only && { only }) }));
        expect({ ...entry, vector: undefined, schedule: undefined, layers: undefined }).toEqual(how);
      }
    }
  });

  test("is read back from a link as it was written", () => {
    for (const how of HOWS) expect(readHow(JSON.parse(JSON.stringify(how)))).toEqual(how);
  });

  test.each([
    [5, {}], [{ operator: "add", keepNorm: 1, gate: {}, only: {} }, {}],
    [{ operator: "erase", only: { from: -1, to: 0.5, since: "" } }, {}],
    [{ gate: { probe: "m" } }, { gate: { probe: "m", above: 0.5 } }],
    [{ gate: { probe: "m", above: 2, below: "x", until: -1, per: "token", shape: "hard" } }, { gate: { probe: "m", above: 0.5 } }],
    [{ gate: { probe: "m", above: 0.1, below: 0.2 } }, { gate: { probe: "m", below: 0.2 } }],
  ])("with values out of range has what is usual: %j", (json, how) => expect(readHow(json)).toEqual(how));

  test("is told in words", () => {
    expect(HOWS.map((how) => howWords(how, (id) => `“${id}”`).join(", "))).toEqual([
      "", "up to a target", "ablated, norm kept", "norm kept", "when “mood” ≥ 0.5", "when “mood” ≤ 0.25 until 0.5",
      "scaled by “mood” ≥ 0, after the prompt", "from token 4", "tokens 1 to 9",
      "tokens 4 to 9, first tokens of words, after \"a, \\\"b\\\" `${c}` \\\\ 'd'\"",
      "clamped, norm kept, when “mood” ≥ 0.9, after the prompt, first tokens of words",
    ]);
  });

  test("can be left out in a column", () => {
    const entry = steered("fixed", { operator: "ablate", gate: { probe: "mood", above: 0.5 } }, { isPlain: true });
    expect(entry).toEqual({ vector: "formal", layers: [0, 1], schedule: { kind: "fixed", alpha: 0.75 } });
  });
});

describe("a schedule", () => {
  test("has the strength that was measured for adding, unless the vector is removed: then all of it", () => {
    const known = { alphaMax: 1.5, strongAlpha: 1.5 };
    const all = { alphaMax: 1, strongAlpha: 1 };
    for (const [operator, alpha, of] of [[undefined, 0.75, known], ["project", 0.75, known], ["ablate", 1, all]] as const) {
      const how: How = operator === undefined ? {} : { operator };
      expect(steered("fixed", how).schedule).toEqual({ kind: "fixed", alpha });
      expect(steered("dynamic", how).schedule).toEqual({ kind: "dynamic", topP: 0.5, ...of });
      expect(steered("budget", how).schedule).toEqual({ kind: "budget", nats: 0.5, alphaMax: of.alphaMax });
    }
  });

  test("of a clamp does not measure", () => {
    expect(kindsFor({ operator: "clamp" })).toEqual(SCHEDULES.filter((kind) => kind !== "dynamic" && kind !== "budget"));
    expect(kindsFor({ operator: "ablate" })).toEqual(SCHEDULES);
    const use: Use = { id: "formal", layers: "all", how: { operator: "clamp" } };
    expect(partOf({ kind: "budget", rows: {} }, use, ENTRY)).toMatchObject({ isOn: true, kind: "fixed" });
    expect(partOf({ kind: "fixed", rows: { formal: { kind: "dynamic" } } }, use, ENTRY)).toMatchObject({ kind: "fixed" });
    // A running answer keeps its clamp, whatever the card says by then.
    const { row } = partOf({ kind: "budget", rows: {} }, { ...use, how: {} }, ENTRY);
    expect(scheduleOf("budget", row, { operator: "clamp" }, ENTRY)).toEqual({ kind: "fixed", alpha: 0.75 });
    expect(partOf({ kind: "budget", rows: { formal: { isPlain: true } } }, use, ENTRY)).toMatchObject({ kind: "budget" });
  });

  test("that is a budget has a proposal for each purpose, and full shading at its largest alpha", () => {
    expect(steered("budget", {}, { per: "answer" }).schedule).toEqual({ kind: "budget", nats: 10, alphaMax: 1.5, per: "answer" });
    expect(steered("budget", {}, { per: "answer", nats: 3 }).schedule).toMatchObject({ nats: 3 });
    const uses = [{ id: "formal", layers: "all" }];
    const scaleOf = (rows: Record<string, Partial<Row>>): number => fullAlpha({ uses, columns: [{ kind: "budget", rows }] }, ENTRIES);
    expect([scaleOf({}), scaleOf({ formal: { alphaMax: 4 } })]).toEqual([1.5, 4]);
    const stated = { ...ENTRY, steering: { ...SPEC, schedule: { kind: "budget", nats: 0.25, alphaMax: 3, per: "token" } } } as VectorEntry;
    for (const [operator, alphaMax] of [[undefined, 3], ["project", 3], ["ablate", 1]] as const) {
      const use = { id: "formal", layers: "all", how: operator ? { operator } : {} };
      const [entry] = steeringOf({ uses: [use], columns: [{ kind: "budget", rows: {} }] }, 0, new Map([["formal", stated]]));
      expect(entry!.schedule).toEqual({ kind: "budget", nats: 0.25, alphaMax });
    }
  });

  test("is told in words", () => {
    expect(SCHEDULES.map((kind) => scheduleWords(steered(kind, {}).schedule)))
      .toEqual(["alpha 0.75", "p 0.5", "at most 0.5 nats per token", ...Array<string>(3).fill("alpha 0.75")]);
  });
});

describe("readings", () => {
  const kls = [1, null, 0.5, 2].map((kl) => ({ alpha: 1, kl }));

  test("of a gate", () => {
    expect([[0.834, 1], [0.12, 0], [0.03, 0], [0.0001, 0], [0.625, 0.625]].map(([probability, value]) => (
      gateWords({ probability: probability!, value: value! })
    ))).toEqual(["open, 83 %", "shut, 12 %", "shut, 3.0 %", "shut, < 0.1 %", "open by 0.63, 63 %"]);
  });

  test("say what is left of an answer's budget, and what was spent", () => {
    const answer = { kind: "budget", nats: 3, per: "answer" } as const;
    expect([0, 1, 2, 3, 4].map((n) => leftOf(answer, kls.slice(0, n)))).toEqual([3, 2, 2, 1.5, 0]);
    expect(leftOf({ kind: "budget", nats: 3 }, kls)).toBeUndefined();
    expect(spentWords({ vector: "v", schedule: answer }, kls)).toBe("3.5 of 3");
    expect(spentWords({ vector: "v", schedule: { kind: "budget", nats: 3 } }, kls)).toBe("0.88 / token");
    expect(spentWords({ vector: "v", schedule: { kind: "fixed", alpha: 1 } }, kls)).toBeUndefined();
  });
});

describe("the code of a column", () => {
  const steering = HOWS.map((how) => steered("fixed", how));
  const asked = conversation("qa", [{ question: "Why?" }], "");
  const body = requestBody({ ...defaultSetting(), model: "tiny" }, asked, steering, 1);
  const copied = { model: "tiny", source: "tiny", question: "Why?", asked, system: "", steering, body, entries: ENTRIES, origin: "http://x", needsKey: false };

  test("for the library is a template that means the same, whatever is in its texts", () => {
    const templates = [...codeOf("library", copied).matchAll(/loadSteering\((`.*`)\),$/gm)].map(([, template]) => template!);
    const texts = templates.map((template) => (
      new Function("gallery", `return (async () => ${template})();`) as (gallery: object) => Promise<string>
    )({ pull: async (name: string) => `${name}.safetensors` }));
    return expect(Promise.all(texts)).resolves.toEqual(steering.map((entry) => shorthand(entry, "formal.safetensors", (id) => `${id}.safetensors`)));
  });

  test("names the file of a gate's probe, and in requests its id", () => {
    expect(codeOf("cli", copied)).toContain("--steer 'formal.safetensors:fixed,0.75,layers=0-1,when=mood.safetensors>0.5'");
    expect(codeOf("curl", copied)).toContain('"probe": "mood"');
    expect(codeOf("python", copied)).toContain('"keepNorm": True');
  });
});
