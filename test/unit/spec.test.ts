import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { SteeringError } from "../../lib/errors.js";
import { parseSteer, steeringSpecSchema, steerText } from "../../lib/steering/index.js";
import { compose, loadSteering, schedule, SteeringVector } from "../../lib/index.js";
import { probe } from "../../lib/experiments.js";
import { steeringJsonSchema } from "../../lib/steering/index.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { untrained } from "../support/probes.js";
import { smallVector } from "../support/vectors.js";

test.each([
  ["italian.safetensors:fixed,1.5", { kind: "fixed", alpha: 1.5 }],
  ["italian.safetensors:start,2", { kind: "start", alpha: 2 }],
  ["italian.safetensors:dim,2", { kind: "diminishing", alpha: 2 }],
  ["italian.safetensors:diminishing,alpha=3", { kind: "diminishing", alpha: 3 }],
  ["italian.safetensors:fixed,-1", { kind: "fixed", alpha: -1 }],
  ["italian.safetensors:fixed,0", { kind: "fixed", alpha: 0 }],
  ["italian.safetensors:dyn,p=0.7", { kind: "dynamic", topP: 0.7, alphaMax: 2, strongAlpha: 2, klReduction: "mean" }],
  ["italian.safetensors:dynamic,p=1,max=3,strong=4,kl=sum", { kind: "dynamic", topP: 1, alphaMax: 3, strongAlpha: 4, klReduction: "sum" }],
  ["italian.safetensors:dyn,for=6,skip=0.1", {
    kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean", skip: { below: 0.1, after: 2, for: 6 },
  }],
  ["italian.safetensors: dyn , p=0.5 ", { kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" }],
])("%s", (text, schedule) => {
  expect(parseSteer(text)).toEqual({
    vector: "italian.safetensors", layers: "all", heads: "all", schedule, tail: "mean", phases: ["answer"],
  });
});

// docs/method.md §4: clip to 0..2, strong stream at alpha 2, published code's reduction; §4's first p_top.
test("what is left out takes its default", () => {
  expect(parseSteer("v:fixed").schedule).toEqual({ kind: "fixed", alpha: 1 });
  expect(parseSteer("v:start").schedule).toEqual({ kind: "start", alpha: 1 });
  expect(parseSteer("v:dim").schedule).toEqual({ kind: "diminishing", alpha: 1 });
  expect(parseSteer("v:dyn").schedule).toEqual({ kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" });
  expect(parseSteer("v:dyn").schedule).not.toHaveProperty("skip");
  expect(parseSteer("v:dyn").tail).toBe("mean");
});

test.each(["mean", "hold", "stop"])("tail=%s, in any place", (tail) => {
  expect(parseSteer(`v:fixed,2,tail=${tail}`)).toEqual({
    vector: "v", layers: "all", heads: "all", schedule: { kind: "fixed", alpha: 2 }, tail, phases: ["answer"],
  });
  expect(parseSteer(`v:fixed,tail=${tail},2`)).toEqual(parseSteer(`v:fixed,2,tail=${tail}`));
});

test.each([
  "C:\\vectors\\it.safetensors", "/vectors/a:b/it.safetensors", "it:fixed,2", "with space, and comma=1.safetensors", "ü",
])("the path %s is kept as it is", (path) => {
  expect(parseSteer(`${path}:fixed,1.5`)).toEqual({
    vector: path, layers: "all", heads: "all", schedule: { kind: "fixed", alpha: 1.5 }, tail: "mean", phases: ["answer"],
  });
});

test("a window, and parts of the vector", () => {
  expect(parseSteer("v:window,1.5,from=2,to=5").schedule).toEqual({ kind: "window", alpha: 1.5, from: 2, to: 5 });
  expect(parseSteer("v:window,to=3").schedule).toEqual({ kind: "window", alpha: 1, from: 0, to: 3 });
  expect(parseSteer("v:fixed,1,layers=4-6+12,heads=0+3")).toMatchObject({ layers: [4, 5, 6, 12], heads: [0, 3] });
  expect(parseSteer("v:fixed,layers=all")).toMatchObject({ layers: "all", heads: "all" });
});

test.each([
  "layers=", "layers=4-", "layers=9-4", "layers=a", "heads=-1", "layers=0-99999999", "layers=1.5", "layers=1+",
])("v:fixed,%s is refused", (setting) => {
  expect(() => parseSteer(`v:fixed,${setting}`)).toThrow(expect.objectContaining({
    code: "E_BAD_SPEC", message: expect.stringContaining("neither an index nor a range"),
  }));
});

test("on=… says when the vector is added; Dyn cannot steer the prompt", () => {
  expect(parseSteer("v:fixed,1,on=prompt+answer").phases).toEqual(["prompt", "answer"]);
  expect(parseSteer("v:dyn,on=thinking").phases).toEqual(["thinking"]);
  for (const text of ["v:dyn,on=prompt+answer", "v:fixed,on=", "v:fixed,on=thoughts", "v:fixed,on=answer,on=prompt"]) {
    expect(() => parseSteer(text)).toThrow(expect.objectContaining({ code: "E_BAD_SPEC" }));
  }
});

test.each([
  ["v:window,from=2", /schedule.to/], ["v:window,from=5,to=5", /to must be above from/], ["v:fixed,from=1", /Unrecognized key/],
])("%s is refused", (text, message) => {
  expect(() => parseSteer(text)).toThrow(expect.objectContaining({ code: "E_BAD_SPEC", message: expect.stringMatching(message) }));
});

test("selectors and gates", () => {
  expect(parseSteer("v:fixed,1,at=3-20").only).toEqual({ from: 3, to: 20 });
  expect(parseSteer("v:fixed,at=3-").only).toEqual({ from: 3 });
  expect(parseSteer("v:fixed,at=3").only).toEqual({ from: 3, to: 4 });
  expect(parseSteer('v:dyn,words=first,since="a, b: \\n\\"c\\"",p=0.6')).toMatchObject({
    only: { words: "first", since: 'a, b: \n"c"' }, schedule: { topP: 0.6 },
  });
  expect(parseSteer("v:fixed,since=Answer").only).toEqual({ since: "Answer" });
  const gate = { per: "token", shape: "hard" };
  expect(parseSteer("v:dyn,p=0.5,when=unsafe>0.7,until=0.3").gate).toEqual({ probe: "unsafe", above: 0.7, until: 0.3, ...gate });
  expect(parseSteer("v:fixed,1,when=C:\\p=1\\a<b.safetensors<0.2,per=prompt").gate)
    .toEqual({ probe: "C:\\p=1\\a<b.safetensors", below: 0.2, per: "prompt", shape: "hard" });
  expect(parseSteer("v:fixed,when=p>=0.5,until=0.2").gate).toEqual({ probe: "p", above: 0.5, until: 0.2, ...gate });
  expect(parseSteer("v:fixed,when=p<=0.5").gate).toEqual({ probe: "p", below: 0.5, ...gate });
  expect(parseSteer("v:fixed,when=p").gate).toEqual({ probe: "p", above: 0.5, ...gate });
  expect(parseSteer("v:fixed,when=p,gate=smooth").gate).toEqual({ probe: "p", above: 0, per: "token", shape: "smooth" });
});

test.each([
  ["v:fixed,when=>0.5", /gate.probe: expected the path of a probe file/], ["v:fixed,when=p>2", /gate.above/],
  ["v:fixed,until=0.3", /until= belongs to a gate: add when=PROBE/], ["v:fixed,gate=smooth", /gate= belongs to a gate: add when=PROBE/],
  ["v:budget,0.5,per=prompt", /per= belongs to a gate: add when=PROBE/], ["v:fixed,per=token", /per= belongs to a gate/],
  ["v:fixed,when=p>", /when does not understand "p>"/], ["v:fixed,when=p>high", /when does not understand "p>high"/],
  ["v:fixed,when=p,until=x", /until does not understand "x"/], ["v:fixed,when=p,until=", /until does not understand ""/],
  ["v:fixed,when=p>0.5,until=0.6", /until must be at most above/], ["v:fixed,when=p<0.5,until=0.4", /until must be at least below/],
  ["v:fixed,when=p>0.5,until=0.4,per=prompt", /leave out until/], ["v:fixed,when=p,until=0.4", /until needs above or below/],
  ["v:fixed,when=p,per=word", /gate.per/], ["v:fixed,when=p,gate=soft", /gate.shape/], ["v:fixed,when=p,when=q", /when is given twice/],
  ["v:fixed,when=p,on=prompt", /a gate can decide only about generated tokens/], ["v:fixed,at=2-,on=prompt", /selectors can decide only/],
  ["v:fixed,at=", /at does not understand/], ["v:fixed,at=5-5", /to must be above from/], ["v:fixed,at=-5", /at does not understand/],
  ["v:fixed,words=last", /only.words/], ["v:fixed,since=", /only.since/], ['v:fixed,since="a', /since does not understand/],
])("%s is refused, because %s", (text, message) => {
  expect(() => parseSteer(text)).toThrow(expect.objectContaining({ code: "E_BAD_SPEC", message: expect.stringMatching(message) }));
});

test.each([
  "v:fixed,1.5", "v:dyn,p=0.5,max=2,strong=2,kl=mean,layers=4+5,tail=hold,on=thinking+answer", "v:fixed,1,at=0-20,words=first",
  'v:fixed,1,at=3-,since="a, \\"b\\""', "v:fixed,1,when=p>0.5,until=0.3", "v:fixed,1,when=p<0.5,per=prompt,gate=smooth",
  "v:budget,0.5,max=2,per=answer,when=p>0.5,per=prompt", "v:budget,0.5,max=2,per=token,at=3-5",
  "v:fixed,1,op=project,norm=keep,when=p>0.5",
])("%s is its own canonical text", (text) => {
  expect(steerText(parseSteer(text))).toBe(text);
});

test("the shorthand and the canonical spec say the same", () => {
  const spec = parseSteer("v:dyn,p=0.6,kl=sum,tail=hold");
  expect(steeringSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
  expect(steeringSpecSchema.parse({ vector: "v", schedule: { kind: "dynamic", topP: 0.6, klReduction: "sum" }, tail: "hold" }))
    .toEqual(spec);
});

test.each([
  ["", /neither a file nor a file and its schedule/],
  ["v", /neither a file nor a file and its schedule/],
  ["v.safetensors", /neither a file nor a file and its schedule/],
  [":fixed,1", /no file name before the schedule/],
  ["v:", /unknown schedule ""/],
  ["v:foo", /unknown schedule "foo"/],
  ["v:Fixed", /unknown schedule "Fixed"/],
  ["v:constructor", /unknown schedule "constructor"/],
  ["C:\\vectors\\it.safetensors", /unknown schedule/],
  ["v:fixed,", /"" is not a number/],
  ["v:fixed,x", /"x" is not a number/],
  ["v:fixed,1.5x", /"1.5x" is not a number/],
  ["v:fixed,NaN", /"NaN" is not a number/],
  ["v:fixed,Infinity", /"Infinity" is not a number/],
  ["v:fixed,alpha=", /"" is not a number/],
  ["v:dyn,p=0.5=0.9", /"0.5=0.9" is not a number/],
  ["v:fixed,1,5", /alpha is given twice/],
  ["v:fixed,1,alpha=1", /alpha is given twice/],
  ["v:dyn,p=0.5,p=0.6", /p is given twice/],
  ["v:fixed,tail=mean,tail=hold", /tail is given twice/],
  ["v:fixed,beta=1", /unknown setting "beta"/],
  ["v:fixed,constructor=1", /unknown setting "constructor"/],
  ["v:fixed,__proto__=1", /unknown setting "__proto__"/],
  ["v:fixed,=1", /unknown setting ""/],
  ["v:fixed,p=0.5", /topP/],
  ["v:dyn,1.5", /alpha/],
  ["v:dyn,p=0", /topP.*above 0/],
  ["v:dyn,p=1.01", /topP.*at most 1/],
  ["v:dyn,p=-0.5", /topP.*above 0/],
  ["v:dyn,max=-1", /alphaMax.*>=0/],
  ["v:dyn,kl=median", /klReduction.*"mean"\|"sum"/],
  ["v:fixed,tail=end", /tail.*"mean"\|"hold"\|"stop"/],
])("%j is refused, by name", (text, problem) => {
  let error: unknown;
  try {
    parseSteer(text);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(SteeringError);
  const { code, message } = error as SteeringError;
  expect(code).toBe("E_BAD_SPEC");
  // The reason stands between what was given and where to read more, so neither of them can match.
  const given = `--steer ${text}: `;
  expect(message.startsWith(given)).toBe(true);
  const [reason, ...expected] = message.slice(given.length).split("; llama-steer generate --help");
  expect(expected).toHaveLength(1);
  expect(reason!.length).toBeLessThan(140);
  expect(reason).toMatch(problem);
  expect(message.split("\n")).toHaveLength(1);
});

test("the JSON Schema in docs/ is that of the specification: regenerate it with `npm run docs:schema`", async () => {
  expect(JSON.parse(await readFile("docs/steering.schema.json", "utf8"))).toEqual(steeringJsonSchema());
});

test("a steering file: one specification or several, vectors beside it, the schedule or the calibrated one", async () => {
  const folder = await temporaryFolder();
  const plain = new SteeringVector(smallVector());
  await plain.save(join(folder, "plain.safetensors"));
  const calibration = {
    schedule: schedule.fixed(1.25), effect: "language ITA", wanted: 0.9, found: 1, deltaPerplexity: 2, n: 20,
    questions: { name: "ENG", hash: "sha256:1" },
  };
  await new SteeringVector({ ...smallVector(), provenance: { ...smallVector().provenance, calibration } }).save(join(
    folder, "calibrated.safetensors",
  ));
  const path = join(folder, "both.json");
  await writeFile(
    path,
    JSON.stringify([{ vector: "plain.safetensors", layers: [2], schedule: { kind: "dynamic" } }, { vector: "calibrated.safetensors" }]),
  );
  const [first, second] = await loadSteering(path);
  expect([first!.vector.path, first!.layers, first!.schedule]).toEqual([
    join(folder, "plain.safetensors"), [2], { kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" },
  ]);
  expect([second!.vector.provenance.calibration, second!.schedule, second!.tail]).toEqual([
    calibration, { kind: "fixed", alpha: 1.25 }, "mean",
  ]);
  expect((await loadSteering(join(folder, "calibrated.safetensors")))[0]!.schedule).toEqual({ kind: "fixed", alpha: 1.25 });
  await expect(loadSteering(join(folder, "plain.safetensors"))).rejects.toMatchObject({
    code: "E_BAD_SPEC", message: expect.stringContaining("not calibrated"),
  });
  for (const [text, message] of [
    ["{", /not JSON/], ["[]", /./], ['{"vector":"x","schedule":{"kind":"fixed","alpha":"1"}}', /schedule\.alpha/],
    ['{"vector":"x","shedule":{}}', /shedule/],
  ] as const) {
    await writeFile(path, text);
    await expect(loadSteering(path)).rejects.toMatchObject({ code: "E_BAD_SPEC", message: expect.stringMatching(message) });
  }
});

test("a gate's probe is found beside a steering file, and without its ending", async () => {
  const folder = await temporaryFolder();
  await new SteeringVector(smallVector()).save(join(folder, "v.safetensors"));
  const [{ provenance: { model } }, any] = [smallVector(), untrained()];
  await probe.save(join(folder, "unsafe.safetensors"), { ...any, provenance: { ...any.provenance, model } });
  const path = join(folder, "steer.json");
  const written = { vector: "v.safetensors", schedule: { kind: "fixed" }, gate: { probe: "unsafe", above: 0.7 } };
  await writeFile(path, JSON.stringify({ ...written, only: { from: 2 } }));
  const found = join(folder, "unsafe.safetensors");
  const [ofFile] = await loadSteering(path);
  expect(ofFile).toMatchObject({ only: { from: 2 }, gate: { path: found, above: 0.7, per: "token", shape: "hard", probe: { layer: 3 } } });
  const vector = join(folder, "v.safetensors");
  const [ofText] = await loadSteering(`${vector}:fixed,1,when=${join(folder, "unsafe")}<0.2`);
  expect(ofText!.gate).toMatchObject({ path: found, below: 0.2 });
  await expect(loadSteering(`${vector}:fixed,1,when=${vector}`)).rejects.toMatchObject({ code: "E_BAD_VECTOR" });
  await expect(loadSteering(`${vector}:fixed,1,when=missing`)).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  expect(compose(ofFile!)[0]).toMatchObject({ gate: { path: found }, only: { from: 2 } });
  const mismatched = { ...ofFile!, gate: { ...ofFile!.gate!, probe: any } };
  expect(() => compose(mismatched)).toThrow(expect.objectContaining({ code: "E_MODEL_MISMATCH" }));
  for (const gate of ["p", { above: 0.5 }, { probe: ofFile!.gate!.probe, above: 2 }, null]) {
    expect(() => compose({ vector: smallVector(), schedule: schedule.fixed(), gate: gate as never })).toThrow(SteeringError);
  }
});

test("schedules by name are those of the specification", () => {
  expect([schedule.fixed(), schedule.start(2), schedule.diminishing(3), schedule.window(1, { to: 4 }), schedule.recorded([1, 2])]).toEqual([
    { kind: "fixed", alpha: 1 }, { kind: "start", alpha: 2 }, { kind: "diminishing", alpha: 3 },
    { kind: "window", alpha: 1, from: 0, to: 4 }, { kind: "recorded", alphas: [1, 2] },
  ]);
  expect(schedule.dynamic({ topP: 0.3 })).toEqual({ kind: "dynamic", topP: 0.3, alphaMax: 2, strongAlpha: 2, klReduction: "mean" });
  expect(schedule.custom((step) => step).alphaAt(3)).toBe(3);
  expect(() => schedule.dynamic({ topP: 0 })).toThrow(expect.objectContaining({ code: "E_BAD_SPEC" }));
});

test("a composition: one list, defaults filled in, of one model", () => {
  const vector = new SteeringVector(smallVector());
  const both = compose(vector.with(schedule.fixed(2)), compose(vector.with({ kind: "dynamic" }, { layers: [2] })));
  expect(both.map(({ vector: _, ...how }) => how)).toEqual([
    { layers: "all", heads: "all", tail: "mean", phases: ["answer"], schedule: { kind: "fixed", alpha: 2 } },
    { layers: [2], heads: "all", tail: "mean", phases: ["answer"], schedule: schedule.dynamic() },
  ]);
  const other = new SteeringVector(
    { ...smallVector(), provenance: { ...smallVector().provenance, model: { ...smallVector().provenance.model, fileHash: "other" } } },
  );
  expect(() => compose(vector.with(schedule.fixed()), other.with(schedule.fixed()))).toThrow(expect.objectContaining({
    code: "E_MODEL_MISMATCH",
  }));
  expect(() => compose(vector)).toThrow(/has no schedule/);
});

test("a vector file that is not there is not found, with a schedule and without", async () => {
  for (const spec of ["missing.safetensors", "missing.safetensors:fixed,1"]) await expect(loadSteering(spec)).rejects.toMatchObject({
    code: "E_NOT_FOUND",
  });
});
