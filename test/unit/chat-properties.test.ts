import { describe, expect, test } from "@jest/globals";
import { findProperty, propertyLines, setStrength, type Property } from "../../bin/chat/properties.js";
import type { Front } from "../../bin/chat/front.js";
import type { Session } from "../../bin/chat/session.js";
import { isCommand, runSlashCommand } from "../../bin/chat/slash-commands.js";
import type { Calibration } from "../../lib/index.js";
import { scheduleWords } from "../../bin/chat/schedule-words.js";
import { parseSteer } from "../../lib/steering/index.js";

const property = (name: string, schedule = "fixed,1"): Property =>
  ({ name, steering: { ...parseSteer(`${name}.safetensors:${schedule}`), vector: { provenance: {} } as never, gate: undefined } });

describe("properties", () => {
  const all = [property("italian"), property("formal"), property("formal-2", "dyn,p=0.3")];

  test("are found by name, number, or a part of one name", () => {
    expect(findProperty(all, "TALI").name).toBe("italian");
    expect(["exit", "quit", "/x"].map(isCommand)).toEqual([true, true, true]);
    expect([" exit", "exit now", "why?"].map(isCommand)).toEqual([false, false, false]);
    const names = ["italian", "IT", "1", "formal", "2", "3", "formal-", "i"].map((word) => findProperty(all, word).name);
    expect(names).toEqual(["italian", "italian", "italian", "formal", "formal", "formal-2", "formal-2", "italian"]);
  });

  test.each([
    ["fo", /"fo" fits 2 properties; use a number \(1 italian, 2 formal, 3 formal-2\)/], ["0", /no property is called "0"/], ["4", /"4"/],
    ["itallian", /did you mean italian\?/],
  ])("%s is refused", (word, message) => {
    expect(() => findProperty(all, word)).toThrow(message);
    expect(() => findProperty([], word)).toThrow(/add one with \/steer/);
  });

  test.each([
    ["fixed,1", "0.8", "fixed,0.8"], ["fixed,1", "-0.5", "fixed,-0.5"], ["dim,2", "1", "dim,1"], ["start,2", "0", "start,0"],
    ["window,2,from=1,to=5", "1", "window,1,from=1,to=5"], ["dyn,p=0.3", "0.8", "fixed,0.8"],
    ["fixed,1", "dyn,p=0.4,max=1", "dyn,p=0.4,max=1"],
  ])("%s under /alpha NAME %s becomes %s", (before, strength, after) => {
    const one = property("a", before);
    setStrength(one, strength);
    expect(scheduleWords(one.steering.schedule)).toBe(after);
  });

  test("/alpha warns of a strength far beyond the measured one, each time that one is set", async () => {
    const calibration: Calibration = {
      by: "kl", schedule: { kind: "fixed", alpha: 0.5 }, budget: 1, n: 4, questions: { name: "q", hash: "h" }, curve: [],
    };
    const one = property("calm");
    one.steering.vector = { provenance: { calibration } } as never;
    const notes: string[] = [];
    const front = { note: (text: string) => notes.push(text) } as unknown as Front;
    for (const alpha of ["1.5", "2"]) await runSlashCommand(`/alpha calm ${alpha}`, { properties: [one], isOn: true } as Session, front);
    expect(notes).toEqual(["1 calm  fixed,1.5", expect.stringMatching(/^calm steers with up to 2, 4 times the measured 0\.5;/), "1 calm  fixed,2"]);
  });

  test("Dyn takes its strong alpha and cap from the vector's calibration or its gallery, unless they are named", () => {
    const one = property("a", "fixed,0.05");
    Object.assign(one.steering.vector.provenance, { calibration: { schedule: { kind: "fixed", alpha: 0.05 } } });
    setStrength(one, "dyn,p=0.4");
    expect(one.steering.schedule).toMatchObject({ topP: 0.4, strongAlpha: 0.1, alphaMax: 0.1 });
    setStrength(one, "dyn,p=0.4,max=1");
    expect(one.steering.schedule).toMatchObject({ strongAlpha: 0.1, alphaMax: 1 });
    const ready: Property = { ...property("b"), stated: { kind: "fixed", alpha: 1.5 } };
    setStrength(ready, "dyn,p=0.4");
    expect(ready.steering.schedule).toMatchObject({ strongAlpha: 3, alphaMax: 3 });
  });

  test.each(["0,8", "strong", "1e99", "Infinity", "dyn,p=2", ""])("the strength %j is refused, and the old one kept", (strength) => {
    const one = property("a", "fixed,1");
    expect(() => setStrength(one, strength)).toThrow(expect.objectContaining({ code: "E_BAD_SPEC" }));
    expect(scheduleWords(one.steering.schedule)).toBe("fixed,1");
  });

  test("a schedule that cannot steer the vector's phases is refused", () => {
    const one = property("a", "fixed,1,on=prompt+answer");
    expect(() => setStrength(one, "dyn,p=0.5")).toThrow(expect.objectContaining({ code: "E_BAD_SPEC" }));
    setStrength(one, "dyn,p=0.5,on=answer");
    expect(one.steering).toMatchObject({ schedule: { kind: "dynamic" }, phases: ["answer"] });
  });

  test("a strength may come with selectors, but not with a gate", () => {
    const one = property("a");
    setStrength(one, "fixed,2,at=3-5");
    expect(one.steering).toMatchObject({ schedule: { alpha: 2 }, only: { from: 3, to: 5 } });
    expect(() => setStrength(one, "fixed,1,when=p")).toThrow(/a gate cannot be set here/);
    expect(() => setStrength(property("a", "fixed,1,on=prompt"), "fixed,1,at=3-5")).toThrow(/leave out the phase/);
  });

  test("a strength may come with other settings, and keeps those that it does not name", () => {
    const one = property("a", "fixed,1,tail=hold,layers=1-2");
    setStrength(one, "dim,2,layers=3");
    expect(one.steering).toMatchObject({ schedule: { kind: "diminishing", alpha: 2 }, tail: "hold", layers: [3], heads: "all" });
  });

  test.each(["fixed,1.5", "start,-2", "dim,0", "window,1,to=5", "window,1,from=2,to=5", "dyn,p=0.5", "dyn,p=0.3,max=1,strong=3,kl=sum"])(
    "the words of %s are what --steer takes", (words) => {
      expect(scheduleWords(parseSteer(`x:${words}`).schedule)).toBe(words);
    },
  );

  test("are listed with numbers", () => {
    expect(propertyLines(all)).toEqual(["1 italian   fixed,1", "2 formal    fixed,1", "3 formal-2  dyn,p=0.3"]);
  });
});
