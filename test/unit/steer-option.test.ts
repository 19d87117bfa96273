import { copyFile, mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { steeringNotices } from "../../bin/steering-notices.js";
import { readSteer } from "../../bin/steer-option.js";
import { gallery, schedule, type Calibration, type LoadedSteering, type Model, type ModelFingerprint } from "../../lib/index.js";
import { parseSteer, scheduleText } from "../../lib/steering/index.js";
import { SteeringVector, strengthNotice, type KnownStrength } from "../../lib/vector/index.js";
import { scratch } from "../support/tiny-files.js";
import { smallVector } from "../support/vectors.js";

const space = scratch();
const fake = (model: ModelFingerprint): Model => ({ fingerprint: async () => model }) as unknown as Model;
const CALIBRATION: Calibration = {
  by: "kl", schedule: schedule.fixed(0.5), budget: 1, n: 4, questions: { name: "q", hash: "h" }, curve: [],
};
const calibrated = (calibration?: Calibration): SteeringVector =>
  new SteeringVector({ ...smallVector(), provenance: { ...smallVector().provenance, ...(calibration && { calibration }) } });
let tiny: Model;
let french: string;

beforeAll(async () => {
  process.env["LLAMA_STEER_HOME"] = space.path("home");
  tiny = fake((await gallery.read()).vectors.find(({ name }) => name === "tiny-french")!.model);
  french = await gallery.pull("tiny-french");
});
afterAll(() => space[Symbol.dispose]());

/** What `--steer` gives: the file and the schedule. */
async function read(spec: string, model = tiny): Promise<string> {
  const [{ vector, schedule: found }] = await (await readSteer(spec))(model) as [LoadedSteering];
  return `${basename(vector.path!)}:${scheduleText(found)}`;
}

describe("a ready-made vector", () => {
  test("is found by its name, or by the end of that, with the strength of its gallery or another", async () => {
    expect(await read("tiny-french")).toBe("tiny-french.safetensors:fixed,1");
    expect(await read("formal")).toBe("tiny-formal.safetensors:fixed,1.25");
    expect(await read("italian:start,2,layers=1-3")).toBe("tiny-italian.safetensors:start,2");
    expect((await readSteer("italian:fixed,2,layers=1-3").then((of) => of(tiny)))[0]!.layers).toEqual([1, 2, 3]);
  });

  test("is hidden by a file of its name, but not by a folder", async () => {
    const before = process.cwd();
    process.chdir(space.folder);
    try {
      await mkdir("formal");
      await mkdir("french:fixed,2");
      expect([await read("formal"), await read("french:fixed,2")])
        .toEqual(["tiny-formal.safetensors:fixed,1.25", "tiny-french.safetensors:fixed,2"]);
      await copyFile(french, "italian");
      expect(await read("italian:fixed,2")).toBe("italian:fixed,2");
    } finally {
      process.chdir(before);
    }
  });

  test("has that strength by its path, too", async () => {
    expect(await read(french)).toBe("tiny-french.safetensors:fixed,1");
    expect(await read(`${french}:fixed,2`)).toBe("tiny-french.safetensors:fixed,2");
  });

  test("bounds Dyn by that strength, too, by its name and by its path", async () => {
    expect(await read("formal:dyn,p=0.3")).toBe("tiny-formal.safetensors:dyn,p=0.3,max=2.5,strong=2.5,kl=mean");
    const path = french.replace("french", "formal");
    expect(await read(`${path}:dyn,strong=3`)).toBe("tiny-formal.safetensors:dyn,p=0.5,max=2.5,strong=3,kl=mean");
    expect(await read("formal:budget,0.2,max=1")).toBe("tiny-formal.safetensors:budget,0.2,max=1,per=token");
    expect(await read(`${path}:budget,0.2`)).toBe("tiny-formal.safetensors:budget,0.2,max=2.5,per=token");
  });

  test.each([
    ["formal:fixed,3.7", []], ["formal:fixed,4", [expect.stringMatching(/tiny-formal\S+ steers with up to 4, 3\.2 times the stated 1\.3;/)]],
  ])("has a notice about a strength far beyond it: %s", async (spec, expected) => {
    const steer = await (await readSteer(spec))(tiny);
    expect(await steeringNotices(steer, { format: "qa" })).toEqual(expected);
  });

  test("that was pulled from another gallery is found as well; several of one name are refused with their paths", async () => {
    await calibrated(CALIBRATION).save(space.path("v.safetensors"));
    const folder = space.path("home/vectors");
    await mkdir(folder, { recursive: true });
    await copyFile(space.path("v.safetensors"), join(folder, "gemma-calm-0123456789ab.safetensors"));
    const gemma = fake(smallVector().provenance.model);
    expect(await read("calm", gemma)).toBe("gemma-calm-0123456789ab.safetensors:fixed,0.5");
    await copyFile(space.path("v.safetensors"), join(folder, "gemma-calm-ba9876543210.safetensors"));
    await expect(read("gemma-calm", gemma)).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(/several.*calm-0123456789ab.*calm-ba9876543210/),
    });
  });

  test.each([
    ["another model's, which is named", "cheerful", "E_MODEL_MISMATCH", /qwen2\.5-coder-\S+-cheerful is a vector for qwen2\.5-coder-\S+; .*pull/],
    ["an unknown one", "italien", "E_NOT_FOUND", /no file and no ready-made vector "italien"; did you mean italian\? .*`vectors pull NAME/],
    ["an unknown one with a schedule", "calmer:fixed,1", "E_NOT_FOUND", /"calmer"/],
    ["a bad schedule", "italian:foo", "E_BAD_SPEC", /unknown schedule "foo"/],
    ["a file that is not there", "none.safetensors", "E_NOT_FOUND", /none\.safetensors does not exist/],
    ["a path that is not there", "./none", "E_BAD_SPEC", /neither a file/],
  ])("%s is refused", async (_, spec, code, message) => {
    await expect(read(spec)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("a vector without a strength says how to get one", async () => {
    await calibrated().save(space.path("plain.safetensors"));
    await expect(read(space.path("plain.safetensors"))).rejects.toMatchObject({
      code: "E_BAD_SPEC", message: expect.stringMatching(/needs a schedule, e\.g\. .*:fixed,1\. .*llama-steer calibrate MODEL .*vectors show NAME/),
    });
  });
});

describe("an alpha far beyond the measured one", () => {
  const notices = (spec: string, calibration: Calibration | undefined): Promise<string[]> => {
    const { gate: _none, ...written } = parseSteer(`v.safetensors:${spec}`);
    const one = { ...written, vector: calibrated(calibration) };
    return steeringNotices([one, one], { format: "qa" }, () => "calm");
  };

  test.each([
    ["fixed,1.6", true], ["fixed,-1.6", true], ["fixed,1.5", false], ["window,1.6,from=0,to=3", true], ["dim,1.6", false],
    ["dim,3.1", true], ["start,6", false], ["start,6.1", true], ["dyn,max=3", false], ["dyn,max=3.1", true],
  ])("of 0.5: %s", async (spec, isFar) => {
    const notice = expect.stringMatching(/^calm steers with up to \d.* times the measured .*break down/);
    expect(await notices(spec, CALIBRATION)).toEqual(isFar ? [notice] : []);
    expect(await notices(spec, undefined)).toEqual([]);
  });

  test("is counted from the measured schedule, if that is of the same kind; Fixed also from a window", async () => {
    const dim: Calibration = { ...CALIBRATION, by: "description", schedule: { kind: "diminishing", alpha: 1 }, spending: 0.5, tried: [] };
    const window: KnownStrength = { by: "gallery", schedule: schedule.window(0.9, { from: 0, to: 6 }) as never };
    const [far, near] = [schedule.fixed(2.8), schedule.fixed(2.7)].map((each) => strengthNotice("calm", window, each as never));
    expect([far, near]).toEqual([expect.stringContaining("3.1 times the stated 0.9"), undefined]);
    expect([await notices("dim,3", dim), await notices("fixed,1.5", dim)]).toEqual([[], []]);
    expect(await notices("dim,3.1", dim)).toEqual([expect.stringContaining("calm steers with up to 3.1, 3.1 times the measured 1; ")]);
  });
});
