// Schemas of what public functions take. They tell whether a value has the right type; whether it makes sense, the functions
// know themselves. A list is refused at its first bad item. What only one concept knows is in its own `arguments.ts` or `public.ts`.
import { z } from "zod";
import { listOf } from "../formats/index.js";

/** A value that passes a test. */
export function a<T>(what: string, is: (value: never) => boolean): z.ZodType<T> {
  return z.custom<T>((value) => is(value as never), `expected ${what}`);
}
export const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isFunction = (value: unknown): boolean => typeof value === "function";
/** Whether an object has these methods. */
export const has = (value: unknown, ...methods: PropertyKey[]): boolean => isObject(value) && methods.every((method) => isFunction(value[method as string]));

export const anything = z.any();
export const text = z.string();
export const flag = z.boolean();
export const number = a<number>("a number", (value: unknown) => typeof value === "number" && !Number.isNaN(value));
export const whole = a<number>("a whole number", (value: unknown) => Number.isSafeInteger(value));
export const callback = a<never>("a function", isFunction);
export const signal = a<AbortSignal>("an AbortSignal", (value: unknown) => isObject(value) && typeof value["aborted"] === "boolean" && has(value, "addEventListener"));
export const bytes = a<Uint8Array>("bytes (Uint8Array)", (value: unknown) => Object.prototype.toString.call(value) === "[object Uint8Array]");
export const anObject = a<object>("an object", isObject);
export const floats = a<Float32Array>("numbers (Float32Array, Float64Array or a list)", (value: unknown) => /Float(32|64)Array/.test(Object.prototype.toString.call(value)) || (Array.isArray(value) && value.every((each) => typeof each === "number")));
/** Bytes of one name, and characters of a path, that file systems take. */
const [MAX_NAME, MAX_PATH] = [255, 4096];
/** A path, or a name that may become part of one. */
export const path = z.string().min(1, "expected a path that is not empty")
  .refine((value) => !value.includes("\0"), "a path with a NUL character names no file")
  .refine((value) => value.length <= MAX_PATH && value.split(/[\\/]/).every((name) => name.length <= MAX_NAME && Buffer.byteLength(name) <= MAX_NAME), `a path of more than ${MAX_PATH} characters, or a name in it of more than ${MAX_NAME} bytes, names no file`);
/** A text that files or models may be named in. */
export const name = z.string().refine((value) => !value.includes("\0") && value.length <= MAX_PATH, `expected at most ${MAX_PATH} characters, without NUL`);

/** Options, all of which may be left out. */
export function options(shape: Record<string, z.ZodType> = {}): z.ZodType {
  return required(Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, schema.optional()]))).optional();
}
/** The same for a type: all its keys and no others, so that an option that is added or renamed there does not compile here. */
export function optionsOf<T extends object>(shape: Record<keyof T, z.ZodType>): z.ZodType {
  return options(shape);
}
/** An object of which these are looked at. */
export function required(shape: Record<string, z.ZodType>): z.ZodType {
  return z.looseObject(shape);
}
export function list(item: z.ZodType, least = 0): z.ZodType {
  return listOf(item, Infinity, least);
}

export const tokens = a<number[]>("token ids: a list of whole numbers", (value: unknown) => Array.isArray(value) && value.every((each) => Number.isSafeInteger(each)));
export const prompt = z.union([text, tokens], "expected a text, or its tokens");
export const indices = z.union([z.literal("all"), tokens], 'expected "all", or a list of whole numbers');
export const stops = { signal, onProgress: callback };

/** Structural: a class that extends ours is a model, too. */
export const model = a<never>("a model, as loadModel gives", (value: unknown) => has(value, "tokenise", "fingerprint") && isObject((value as { info?: unknown }).info));
export const tokeniser = a<never>("a model, as loadModel gives", (value: unknown) => has(value, "tokenise") && isObject((value as { info?: unknown }).info));
export const classifier = a<never>("a classifier, as loadClassifier gives", (value: unknown) => has(value, "classify", "fingerprint") && Array.isArray((value as { labels?: unknown }).labels));
export const translator = a<never>("a translator: { name, translate, dispose }", (value: unknown) => has(value, "translate", "dispose"));
export const evaluator = required({ name: text, property: text.optional(), wanted: text.nullable(), config: anObject, versions: anObject, batchSize: number, evaluate: callback });

const row = required({ input: text, output: text });
export const group = required({ demonstrations: list(row), query: row });
export const messages = list(required({ role: text, content: text }));

/** Arrays of other realms, such as jest's, are arrays too. */
export const float32s = a("Float32Array", (value: unknown) => Object.prototype.toString.call(value) === "[object Float32Array]");
/** Something with a name and a hash of what it holds. */
export const named = required({ name: text, hash: text });
export const sides = z.enum(["positive", "negative"]);

/** What can be written as JSON: it has no cycle and no BigInt. */
export const isWritable = (value: unknown): boolean => {
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    return false;
  }
};
