import { expect, test } from "@jest/globals";
import { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from "../../lib/formats/safetensors.js";

/** Two tensors, 8 values, 32 bytes of data. */
function small(): SafetensorsFile {
  return {
    metadata: { format: "test", note: "süß 蜜" },
    tensors: new Map([
      ["a", { shape: [2, 3], data: Float32Array.of(1, -2, 0.5, 3.25, -0, 1e-40) }],
      ["b", { shape: [2], data: Float32Array.of(3.4028234663852886e38, 7) }],
    ]),
  };
}

/** A file put together by hand: u64 length of the header, header, data. */
function fileOf(header: unknown, data = Buffer.alloc(0)): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

function code(bytes: Uint8Array): string {
  try {
    decodeSafetensors(bytes, "x.safetensors");
    return "no error";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

test("the bytes follow the safetensors format", () => {
  const bytes = Buffer.from(encodeSafetensors(small()));
  // 8 bytes: length of the header, u64, little end first.
  const headerBytes = bytes[0]! + 256 * bytes[1]!;
  expect([...bytes.subarray(2, 8)]).toEqual([0, 0, 0, 0, 0, 0]);
  const json = bytes.toString("utf8", 8, 8 + headerBytes);
  expect(json[0]).toBe("{"); // no white space before
  expect(json).toMatch(/\} *$/); // padded with spaces behind
  expect(JSON.parse(json)).toEqual({
    __metadata__: { format: "test", note: "süß 蜜" },
    a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] }, // 6 values of 4 bytes
    b: { dtype: "F32", shape: [2], data_offsets: [24, 32] },
  });
  expect((8 + headerBytes) % 8).toBe(0); // the data is aligned
  expect(bytes.length).toBe(8 + headerBytes + 32);
  // IEEE 754 single precision, little end first: 1 = 3F800000, −2 = C0000000, 0.5 = 3F000000, 7 = 40E00000.
  const data = bytes.subarray(8 + headerBytes);
  expect(data.toString("hex", 0, 12)).toBe("0000803f" + "000000c0" + "0000003f");
  expect(data.toString("hex", 28)).toBe("0000e040");
});

test("a round trip keeps names, order, shapes, metadata and every bit", () => {
  const file = small();
  const read = decodeSafetensors(encodeSafetensors(file), "x");
  expect(read.metadata).toEqual(file.metadata);
  expect([...read.tensors.keys()]).toEqual(["a", "b"]);
  for (const [name, { shape, data }] of file.tensors) {
    expect(read.tensors.get(name)!.shape).toEqual(shape);
    expect(Buffer.from(read.tensors.get(name)!.data.buffer).equals(Buffer.from(data.buffer))).toBe(true);
  }
});

test("a tensor that is a part of a larger array is written alone", () => {
  const whole = Float32Array.of(9, 1, 2, 9);
  const bytes = encodeSafetensors({ metadata: {}, tensors: new Map([["a", { shape: [2], data: whole.subarray(1, 3) }]]) });
  expect([...decodeSafetensors(bytes, "x").tensors.get("a")!.data]).toEqual([1, 2]);
});

test("bytes at an odd address are read, and the tensors are a copy of them", () => {
  const bytes = encodeSafetensors(small());
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  const read = decodeSafetensors(shifted.subarray(3), "x");
  shifted.fill(0xff);
  expect([...read.tensors.get("a")!.data]).toEqual([...small().tensors.get("a")!.data]);
});

test("a file that another writer made is read: no padding, no metadata, data in another order than the header", () => {
  const data = Buffer.from(Float32Array.of(1, 2, 3).buffer);
  const read = decodeSafetensors(fileOf({
    b: { dtype: "F32", shape: [2], data_offsets: [4, 12] },
    a: { dtype: "F32", shape: [], data_offsets: [0, 4] },
  }, data), "x");
  expect(read.metadata).toEqual({});
  expect([...read.tensors.get("a")!.data]).toEqual([1]);
  expect([...read.tensors.get("b")!.data]).toEqual([2, 3]);
});

test("cut at any byte it is E_BAD_VECTOR", () => {
  const bytes = encodeSafetensors(small());
  for (let length = 0; length < bytes.length; length++) {
    expect({ length, code: code(bytes.subarray(0, length)) }).toEqual({ length, code: "E_BAD_VECTOR" });
  }
  expect(code(bytes)).toBe("no error");
});

test("with a byte too much it is E_BAD_VECTOR", () => {
  expect(code(Buffer.concat([encodeSafetensors(small()), Buffer.alloc(1)]))).toBe("E_BAD_VECTOR");
});

test("with any byte of its frame changed it is refused or still a file, never a crash", () => {
  const bytes = encodeSafetensors(small());
  const headerEnd = bytes.length - 32;
  for (let index = 0; index < headerEnd; index++) {
    for (const value of [0x00, 0x20, 0x22, 0x2d, 0x39, 0x5b, 0x7d, 0xff]) {
      const changed = Uint8Array.from(bytes);
      changed[index] = value;
      expect({ index, value, code: code(changed) }).toEqual({ index, value, code: expect.stringMatching(/^(E_BAD_VECTOR|no error)$/) });
    }
  }
});

const DATA = Buffer.from(Float32Array.of(1, 2).buffer);
const GOOD = { dtype: "F32", shape: [2], data_offsets: [0, 8] };

test.each([
  ["a header that is not JSON", "{not json", /not JSON/],
  ["a header of null", "null", /not a JSON object/],
  ["a header that is a number", "17", /not a JSON object/],
  ["a header that is a list", "[]", /not a JSON object/],
  ["a tensor of null", { a: null }, /tensor a/],
  ["a tensor that is a number", { a: 5 }, /tensor a/],
  ["a tensor without offsets", { a: { dtype: "F32", shape: [2] } }, /tensor a has no shape or offsets/],
  ["a tensor without a shape", { a: { dtype: "F32", data_offsets: [0, 8] } }, /tensor a has no shape or offsets/],
  ["another dtype", { a: { ...GOOD, dtype: "F16" } }, /tensor a is F16; expected F32/],
  ["no dtype", { a: { ...GOOD, dtype: undefined } }, /tensor a is undefined; expected F32/],
  ["a shape for more values", { a: { ...GOOD, shape: [3] } }, /tensor a has 8 bytes for shape \[3\]/],
  ["a shape for fewer values", { a: { ...GOOD, shape: [1] } }, /tensor a has 8 bytes for shape \[1\]/],
  ["negative sizes whose product fits", { a: { ...GOOD, shape: [-1, -2] } }, /tensor a are not whole numbers/],
  ["broken sizes whose product fits", { a: { ...GOOD, shape: [0.5, 4] } }, /tensor a are not whole numbers/],
  ["sizes that are text", { a: { ...GOOD, shape: ["2"] } }, /tensor a are not whole numbers/],
  ["sizes beyond all files", { a: { ...GOOD, shape: [2 ** 52, 2 ** 52] } }, /tensor a/],
  ["offsets that are text", { a: { ...GOOD, data_offsets: ["0", "8"] } }, /tensor a are not whole numbers/],
  ["a negative offset", { a: { ...GOOD, data_offsets: [-4, 4] } }, /tensor a are not whole numbers/],
  ["offsets the wrong way round", { a: { ...GOOD, data_offsets: [8, 0] } }, /tensor a has -8 bytes/],
  ["no offsets in the list", { a: { ...GOOD, data_offsets: [] } }, /tensor a/],
  ["an end beyond the file", { a: { ...GOOD, data_offsets: [4, 12] } }, /ends inside tensor a/],
  ["two tensors on the same bytes", { a: GOOD, b: GOOD }, /begins at byte 0 of the data; expected 8/],
  ["a hole before the first tensor", { a: { ...GOOD, shape: [1], data_offsets: [4, 8] } }, /begins at byte 4 of the data; expected 0/],
  ["bytes that no tensor has", { a: { ...GOOD, shape: [1], data_offsets: [0, 4] } }, /4 bytes after the last tensor/],
])("%s is E_BAD_VECTOR, by name", (_, header, message) => {
  expect(() => decodeSafetensors(fileOf(header, DATA), "x.safetensors")).toThrow(expect.objectContaining({
    name: "SteeringError", code: "E_BAD_VECTOR", message: expect.stringMatching(message),
  }));
  expect(() => decodeSafetensors(fileOf(header, DATA), "x.safetensors")).toThrow(/x\.safetensors/);
});

test("a header longer than the file, or than any header, is refused before it is read", () => {
  const message = (length: bigint) => (length > 100_000_000n ? "does not begin with the length of a header" : "ends inside its header");
  for (const length of [25n, 100_000_001n, 2n ** 63n, 2n ** 64n - 1n]) {
    const bytes = fileOf({ a: GOOD }, DATA).subarray(0, 32);
    bytes.writeBigUInt64LE(length, 0);
    expect(() => decodeSafetensors(bytes, "x")).toThrow(expect.objectContaining({
      code: "E_BAD_VECTOR", message: expect.stringContaining(message(length)),
    }));
  }
});

test("the file that the refusals are built on is good", () => {
  expect(code(fileOf({ a: GOOD }, DATA))).toBe("no error");
});
