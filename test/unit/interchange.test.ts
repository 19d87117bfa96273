import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { vectors } from "../../lib/experiments.js";
import { SteeringVector, type ModelFingerprint } from "../../lib/index.js";
import { decodeGguf, encodeGguf } from "../../lib/formats/gguf.js";
import { decodeNpy, encodeNpy } from "../../lib/formats/npy.js";
import { seededRandom } from "../../lib/maths/random.js";
import { runCommand } from "../support/command.js";
import { ggufBytes } from "../support/gguf-writer.js";
import { provenance } from "../support/vectors.js";

const MODEL: ModelFingerprint = { ...provenance().model, architecture: "llama", nLayer: 3, nEmbd: 4, nHead: 2 };
const control = (tensors: Record<string, number[]>, hint = "llama", architecture = "controlvector"): Buffer =>
  ggufBytes({
    "general.architecture": architecture, "controlvector.model_hint": hint, "controlvector.layer_count": 2, list: ["a", "b"], more: [1, 2],
  },
    Object.entries(tensors).map(([name, values]) => ({ name, shape: [values.length], data: Float32Array.from(values) })));
const ONE = { "direction.2": [1, 2, 3, 4], "direction.1": [5, 6, 7, 8] };
/** Where the lowest byte of the second tensor's offset stands: behind its name, dimensions and type. */
const secondOffset = (bytes: Buffer): [number, number] => {
  const at = bytes.indexOf("direction.1") + "direction.1".length + 4 + 8 + 4;
  return [at, at + 1];
};
const read = (bytes: Uint8Array, change: object = {}): SteeringVector => vectors.importControlVector(
  bytes, { name: "x.gguf", model: MODEL, ...change },
);

describe("control vectors", () => {
  test("direction.<n> is block n, whatever the order in the file", () => {
    const vector = read(control(ONE));
    expect([vector.site, vector.layers, vector.nSteps, vector.width, [...vector.data]]).toEqual([
      "resid_post", [1, 2], 1, 4, [5, 6, 7, 8, 1, 2, 3, 4],
    ]);
    expect(vector.provenance).toMatchObject({
      property: "x", origin: { kind: "imported", format: "control-vector", file: "x.gguf" }, model: MODEL,
    });
    expect(read(vectors.exportControlVector(vector, -2)).data).toEqual(vector.scale(-2).data);
  });

  test("EasySteer's have a direction for block 0, whose output it is added to", () => {
    const vector = read(control({ ...ONE, "direction.0": [9, 9, 9, 9] }, "unknown"));
    expect([vector.layers, [...vector.data.subarray(0, 4)]]).toEqual([[0, 1, 2], [9, 9, 9, 9]]);
  });

  test("the shape decides and not the hint, which is anybody's word: where it seems to be of another model there is a notice", () => {
    const noticesOf = (architecture: string, hint: string): string[] => {
      const notices: string[] = [];
      expect(read(control(ONE, hint), { model: { ...MODEL, architecture }, onNotice: (line: string) => notices.push(line) }).layers)
        .toEqual([1, 2]);
      return notices;
    };
    const same = [["llama", "llama"], ["llama", "Llama"], ["llama", "mistral"], ["llama", "mixtral"], [
      "llama", "mistral:7b",
    ], ["llama", ""], ["llama", "unknown"], ["qwen2", "qwen2.5"], ["qwen2", "qwen"],
      ["qwen3moe", "qwen3_moe"], ["command-r", "cohere"], ["gemma3", "gemma3_text"], ["gpt-oss", "gpt_oss"],
      ["gpt-oss", "GptOssForCausalLM"], ["gptneox", "gpt_neox"], ["falcon-h1", "falcon_h1"], ["phi2", "phi"], ["deepseek2", "deepseek_v3"],
      ["glm4moe", "glm4_moe"]];
    for (const [architecture, hint] of same) expect([architecture, hint, ...noticesOf(architecture!, hint!)]).toEqual([architecture, hint]);
    for (const [architecture, hint] of [["llama", "qwen2"], ["gemma3", "gemma2"], ["gemma2", "llama"], ["phi3", "mistral"]]) {
      expect(noticesOf(architecture!, hint!)).toEqual([
        expect.stringMatching(new RegExp(`made for "${hint}".*architecture is ${architecture}`)),
      ]);
    }
    expect(
      read(ggufBytes(
        { "general.architecture": "controlvector" }, [{ name: "direction.1", shape: [4], data: Float32Array.of(1, 2, 3, 4) }],
      )).layers,
    ).toEqual([1]);
  });

  test.each([
    ["a model", control(ONE, "llama", "llama"), "E_BAD_VECTOR", /expected controlvector/],
    ["a layer that the model has not", control({ "direction.3": [1, 2, 3, 4] }), "E_SHAPE", /blocks 0 to 2/],
    ["another width", control({ "direction.1": [1, 2, 3] }), "E_SHAPE", /width is 4/],
    ["another name", control({ "blk.1": [1, 2, 3, 4] }), "E_BAD_VECTOR", /unexpected tensor/],
    ["nothing", control({}), "E_BAD_VECTOR", /no direction/],
    ["NaN", control({ "direction.1": [1, NaN, 3, 4] }), "E_NOT_FINITE", /not finite/],
    [
      "the same layer in two ways of writing", control({ "direction.1": [1, 2, 3, 4], "direction.01": [1, 2, 3, 4] }), "E_BAD_VECTOR",
      /unexpected tensor "direction.01"/,
    ],
    ["bytes behind the last tensor", Buffer.concat([control(ONE), Buffer.alloc(64)]), "E_BAD_VECTOR", /64 bytes follow/],
    ["tensors that overlap", control(ONE).fill(Buffer.of(4), ...secondOffset(control(ONE))), "E_BAD_VECTOR", /begins at 4; expected 32/],
    ["no GGUF", Buffer.from("GGML and more than twenty-four bytes"), "E_BAD_VECTOR", /does not start with the bytes "GGUF"/],
  ])("%s is refused, with the reason", (_, bytes, code, message) => {
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  test("what a control vector cannot hold", () => {
    const vector = (change: object): SteeringVector => new SteeringVector({ ...read(control(ONE)), ...change } as SteeringVector);
    expect(() => vectors.exportControlVector(vector({ site: "head_out" }))).toThrow(/added at resid_post/);
    expect(() => vectors.exportControlVector(vector({ layers: [0, 1] }))).toThrow(/cannot have layer 0/);
    expect(() => vectors.exportControlVector(vector({ layers: [1], nSteps: 2 }))).toThrow(/--pool/);
  });

  test("no damage to a file ends in anything but a refusal or other numbers", () => {
    const whole = control(ONE);
    const random = seededRandom(1);
    const padding = 16; // behind the last tensor, of four values
    for (let length = 0; length < whole.length - padding; length++) expect(() => decodeGguf(whole.subarray(0, length), "cut")).toThrow(
      expect.objectContaining({ code: "E_BAD_VECTOR" }),
    );
    for (let round = 0; round < 3000; round++) {
      const damaged = Buffer.from(whole);
      for (let i = 0; i < 3; i++) damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
      try {
        decodeGguf(damaged, "damaged");
      } catch (error) {
        expect(error).toMatchObject({ name: "SteeringError", code: "E_BAD_VECTOR" });
      }
    }
  });

  test("our own GGUF is read as it was written", () => {
    const tensors = new Map(
      [["a.1", { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }], ["b", { shape: [1], data: Float32Array.of(-0.5) }]],
    );
    const { metadata, tensors: found } = decodeGguf(encodeGguf({ text: "Ünïcode", number: 7 }, tensors), "own");
    expect([Object.fromEntries(metadata), found]).toEqual([{ text: "Ünïcode", number: 7 }, tensors]);
  });
});

describe("the published layout [step, layer, head, dHead]", () => {
  // 2 steps, 3 layers, 2 heads, 2 values: each names its place.
  const place = (step: number, layer: number, head: number, i: number): number => 1000 * step + 100 * layer + 10 * head + i;
  const data = Float32Array.from({ length: 24 }, (_, n) => place(Math.floor(n / 12), Math.floor(n / 4) % 3, Math.floor(n / 2) % 2, n % 2));
  const tensor = { shape: [2, 3, 2, 2], data };

  test.each(["npy", "safetensors"] as const)("both ways as .%s", (format) => {
    const npy = vectors.importPublished(encodeNpy(tensor), { name: "d.npy", model: MODEL });
    expect([npy.site, npy.layers, npy.nSteps, npy.width]).toEqual(["head_out", [0, 1, 2], 2, 4]);
    // layer 2, step 1
    expect([...npy.data.subarray(4 * (2 * 2 + 1), 4 * (2 * 2 + 2))]).toEqual([
      place(1, 2, 0, 0), place(1, 2, 0, 1), place(1, 2, 1, 0), place(1, 2, 1, 1),
    ]);
    const again = vectors.importPublished(vectors.exportPublished(npy, format), { name: `d.${format}`, model: MODEL });
    expect(again.data).toEqual(npy.data);
  });

  test("bytes as numpy writes them", () => {
    const bytes = encodeNpy({ shape: [3], data: Float32Array.of(1, -2, 0.5) });
    expect(Buffer.from(bytes).toString("latin1", 0, 6)).toBe("\x93NUMPY");
    expect((bytes.length - 12) % 64).toBe(0);
    expect(Buffer.from(bytes).toString("latin1", 10)).toMatch(/^\{'descr': '<f4', 'fortran_order': False, 'shape': \(3,\), \} *\n/);
    const half = Buffer.from(bytes.subarray(0, bytes.length - 12)).toString("latin1").replace("<f4", "<f2");
    expect([...decodeNpy(Buffer.concat([Buffer.from(half, "latin1"), Buffer.from([0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00])]), "half").data])
      .toEqual([1, -2, 2 ** -24]);
  });

  test.each([
    ["no .npy", Buffer.from("not an array at all"), "E_BAD_VECTOR", /does not start with/],
    ["cut short", Buffer.from(encodeNpy(tensor)).subarray(0, -1), "E_BAD_VECTOR", /needs 96 bytes/],
    [
      "Fortran order", Buffer.from(Buffer.from(encodeNpy(tensor)).toString("latin1").replace("False", "True "), "latin1"), "E_BAD_VECTOR",
      /Fortran/,
    ],
    [
      "whole numbers", Buffer.from(Buffer.from(encodeNpy(tensor)).toString("latin1").replace("<f4", "<i4"), "latin1"), "E_BAD_VECTOR",
      /type <i4/,
    ],
    ["three dimensions", encodeNpy({ shape: [2, 3, 4], data }), "E_SHAPE", /expected \[step, layer, head, dHead\]/],
    ["another model's layers", encodeNpy({ shape: [3, 2, 2, 2], data }), "E_SHAPE", /the model has 3 of 2/],
    ["heads of another width", encodeNpy({ shape: [1, 3, 2, 4], data }), "E_SHAPE", /heads of width 4; the model's have 2/],
    ["a version that nobody knows", Buffer.from(encodeNpy(tensor)).fill(9, 6, 7), "E_BAD_VECTOR", /version is 9/],
    [
      "Fortran order, and C order elsewhere",
      Buffer.from(
        Buffer.from(encodeNpy(tensor)).toString("latin1").replace("'fortran_order': False, ", "'fortran_order': 1 ,     "), "latin1",
      ),
      "E_BAD_VECTOR", /Fortran/,
    ],
    ["NaN", encodeNpy({ shape: [2, 3, 2, 2], data: data.map((value, i) => (i === 5 ? NaN : value)) }), "E_NOT_FINITE", /not finite/],
  ])("%s is refused, with the reason", (_, bytes, code, message) => {
    expect(() => vectors.importPublished(bytes, { name: "d.npy", model: MODEL, dHead: 2 })).toThrow(expect.objectContaining({
      code, message: expect.stringMatching(message),
    }));
  });
});

describe("llama-steer vector", () => {
  let folder: string;
  const run = (...args: string[]): ReturnType<typeof runCommand> => runCommand(["vector", ...args], { cwd: folder });
  const two = (values: number[], property: string): SteeringVector => new SteeringVector(
    {
      site: "resid_post", layers: [1, 2], nSteps: 2, width: 2, data: Float32Array.from(values),
      provenance: { ...provenance(), property, model: { ...MODEL, nEmbd: 2 } },
    },
  );

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "llama-steer-vector-"));
    await two([1, 2, 3, 4, 5, 6, 7, 8], "A").save(join(folder, "a.safetensors"));
    await two([8, 7, 6, 5, 4, 3, 2, 1], "B").save(join(folder, "b.safetensors"));
    await writeFile(join(folder, "x.gguf"), control(ONE));
    await writeFile(join(folder, "x.pt"), "pickle");
    await writeFile(join(folder, "model.gguf"), control(ONE, "llama", "llama"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("combine, diff, inspect, convert", async () => {
    expect(await run("combine", "a.safetensors:0.5", "b.safetensors:-1", "--pool", "--out", "c.safetensors")).toMatchObject({
      code: 0, stdout: "c.safetensors\n",
    });
    const made = await SteeringVector.load(join(folder, "c.safetensors"));
    expect([made.nSteps, [...made.data]]).toEqual([1, [1 - 7, 1.5 - 6, 3 - 3, 3.5 - 2]]);
    const compared = await run("diff", "a.safetensors", "b.safetensors", "--json");
    const { same, layers } = JSON.parse(compared.stdout) as { same: boolean; layers: Array<{ layer: number; cosine: number }> };
    expect([same, layers.map(({ layer }) => layer)]).toEqual([false, [1, 2]]);
    expect(layers[0]!.cosine).toBeCloseTo((22 / Math.sqrt(5 * 113) + 38 / Math.sqrt(25 * 61)) / 2, 5);
    expect((await run("diff", "a.safetensors", "a.safetensors")).stdout).toContain("The vectors are identical.");
    expect((await run("inspect", "c.safetensors")).stdout).toContain("0.5 · A");
    expect(await run("convert", "c.safetensors", "c.gguf", "--alpha", "2", "--quiet")).toMatchObject({ code: 0, stderr: "" });
    // a control vector may be replaced
    expect(await run("convert", "c.safetensors", "c.gguf", "--quiet")).toMatchObject({ code: 0, stderr: "" });
  });

  test("a sum of three is rounded once and names all three", async () => {
    expect(await run("combine", "a.safetensors:+2", "b.safetensors:1e+0", "a.safetensors:-.5", "--out", "three.safetensors"))
      .toMatchObject({ code: 0 });
    const { provenance: { origin }, data } = await SteeringVector.load(join(folder, "three.safetensors"));
    const hashes = await Promise.all(["a", "b", "a"].map(
      async (name) => (await SteeringVector.load(join(folder, `${name}.safetensors`))).hash,
    ));
    expect(origin).toMatchObject({ expression: "2 · A + B − 0.5 · A", from: hashes.map((hash) => ({ hash })) });
    expect([...data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((value) => 1.5 * value + 9 - value));
  });

  test("a part of a vector says so, and what was calibrated for the whole does not count for it", async () => {
    const whole = two([1, 2, 3, 4, 5, 6, 7, 8], "A");
    const calibration = {
      schedule: { kind: "fixed" as const, alpha: 2 }, effect: "x", wanted: 1, found: 1, deltaPerplexity: 1, n: 1,
      questions: { name: "q", hash: "h" },
    };
    await new SteeringVector({ ...whole, provenance: { ...whole.provenance, calibration } }).save(join(folder, "calibrated.safetensors"));
    expect(await run("convert", "calibrated.safetensors", "part.safetensors", "--layers", "2")).toMatchObject({ code: 0 });
    const part = await SteeringVector.load(join(folder, "part.safetensors"));
    expect(part.provenance).toMatchObject({ property: "A in layers 2", origin: { kind: "derived", from: [{ property: "A" }] } });
    expect(part.provenance.calibration).toBeUndefined();
    expect(await run("convert", "calibrated.safetensors", "renamed.safetensors", "--property", "kind")).toMatchObject({ code: 0 });
    expect((await SteeringVector.load(join(folder, "renamed.safetensors"))).provenance).toMatchObject({ property: "kind", calibration });
  });

  test.each([
    [["convert", "x.gguf", "y.safetensors"], 2, /--model MODEL/],
    [["convert", "x.pt", "y.safetensors", "--model", "tiny"], 3, /pickle/],
    [["convert", "a.safetensors", "y.gguf"], 3, /--pool/],
    [["convert", "a.safetensors", "y.txt"], 2, /cannot write y\.txt.*ends in \.safetensors/],
    [["convert", "a.safetensors", "y.npy"], 3, /published layout holds all/],
    [["combine", "a.safetensors", "missing.safetensors", "--out", "y.safetensors"], 3, /does not exist/],
    [["combine", "a.safetensors:x", "--out", "y.safetensors"], 3, /a\.safetensors:x does not exist/],
    [["combine", "", "--out", "y.safetensors"], 2, /does not name a vector file/],
    [["combine", "a.safetensors", "--out", "y.gguf"], 2, /ends in \.safetensors/],
    [["combine", "a.safetensors", "--layers", "1", "--out", "a.safetensors"], 3, /refusing to overwrite its own input/],
    [["convert", "a.safetensors", "a.safetensors", "--layers", "1"], 3, /refusing to overwrite its own input/],
    [["convert", "a.safetensors", "model.gguf", "--pool"], 3, /refusing to overwrite a model file/],
    [["convert", "a.safetensors", "y.gguf", "--published"], 2, /--published/],
    [["convert", "a.safetensors", "y.safetensors", "--model", "tiny"], 3, /another model/],
  ])("%p is refused", async (args, code, message) => {
    const outcome = await run(...args);
    expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
    expect(outcome.stderr).toMatch(message);
  });
});
