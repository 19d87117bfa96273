// Schemas of the arguments of public functions. They check types; the functions themselves check whether values make sense. A list
// is refused at its first bad item. Schemas that only one folder needs are in its own `arguments.ts` or `public.ts`.
import { z } from "zod";
import { listOf, nearestName } from "../formats/index.js";

/** Schema of a value that passes the test `is`; `what` names it in messages. */
export function a<T>(what: string, is: (value: never) => boolean): z.ZodType<T> {
  return z.custom<T>((value) => is(value as never), `expected ${what}`);
}
export const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isFunction = (value: unknown): boolean => typeof value === "function";
/** Whether an object has these methods. */
export const has = (value: unknown, ...methods: PropertyKey[]): boolean =>
  isObject(value) && methods.every((method) => isFunction(value[method as string]));
/** Whether a value is an instance of a built-in class, even one of another realm, such as jest's. */
const isOfClass = (value: unknown, pattern: RegExp): boolean => pattern.test(Object.prototype.toString.call(value));
const isListOf = (value: unknown, isItem: (item: unknown) => boolean): boolean => Array.isArray(value) && value.every(isItem);

export const anything = z.any();
export const text = z.string();
export const flag = z.boolean();
export const number = a<number>("a number", (value: unknown) => typeof value === "number" && !Number.isNaN(value));
export const whole = a<number>("a whole number", (value: unknown) => Number.isSafeInteger(value));
export const callback = a<never>("a function", isFunction);
export const signal = a<AbortSignal>("an AbortSignal",
  (value: unknown) => isObject(value) && typeof value["aborted"] === "boolean" && has(value, "addEventListener"));
export const bytes = a<Uint8Array>("bytes (Uint8Array)", (value: unknown) => isOfClass(value, /^\[object Uint8Array\]$/));
export const anObject = a<object>("an object", isObject);
export const floats = a<Float32Array>("numbers (Float32Array, Float64Array or a list)",
  (value: unknown) => isOfClass(value, /Float(32|64)Array/) || isListOf(value, (each) => typeof each === "number"));
/** Limits of file systems: bytes of a file name, and characters of a path. */
const [MAX_NAME, MAX_PATH] = [255, 4096];
const isShort = (fileName: string): boolean => fileName.length <= MAX_NAME && Buffer.byteLength(fileName) <= MAX_NAME;
/** A path, or a name that may become part of one. */
export const path = z.string().min(1, "the path is empty")
  .refine((value) => !value.includes("\0"), "the path contains a NUL character")
  .refine((value) => value.length <= MAX_PATH && value.split(/[\\/]/).every(isShort),
    `the path is too long; expected at most ${MAX_PATH} characters, and at most ${MAX_NAME} bytes per name`);
/** A text that may name files or models. */
export const name = z.string()
  .refine((value) => !value.includes("\0") && value.length <= MAX_PATH, `expected at most ${MAX_PATH} characters, without NUL`);

declare const refusesUnknown: unique symbol;
/** A schema of options that refuses those that do not exist: a typing error must not pass for an option that is left out. */
export type OptionsSchema = z.ZodType & { readonly [refusesUnknown]: true };

/** Options, all of them optional: exactly the keys of a type, so that a new option there is a compile error here. */
export function optionsOf<T extends object>(shape: Record<KeysOf<T>, z.ZodType>): OptionsSchema {
  const optional = Object.fromEntries(Object.entries<z.ZodType>(shape).map(([key, schema]) => [key, schema.optional()]));
  return only(Object.keys(shape), required(optional).optional());
}
/** Like `optionsOf`, but the schemas say which options are optional. A union has the keys of all its members. */
export function requiredOf<T extends object>(shape: Record<KeysOf<T>, z.ZodType>): OptionsSchema {
  return only(Object.keys(shape), required(shape));
}
type KeysOf<T> = T extends unknown ? keyof T : never;

/** Refuses properties other than these, with the nearest one. An undefined property is one that is left out. */
export function only(known: readonly string[], schema: z.ZodType): OptionsSchema {
  return schema.superRefine((value, context) => {
    const given = Object.entries((value ?? {}) as Record<string, unknown>).filter(([, each]) => each !== undefined);
    const unknown = given.map(([key]) => key).find((key) => !known.includes(key));
    if (unknown === undefined) return;
    const near = nearestName(unknown, known);
    context.addIssue({ code: "custom", message: `no option is called "${unknown}"${near ? `; did you mean ${near}?` : `; expected ${known.join(", ")}`}` });
  }) as z.ZodType as OptionsSchema;
}
/** An object with these properties; others are not checked. */
export function required(shape: Record<string, z.ZodType>): z.ZodType {
  return z.looseObject(shape);
}
export function list(item: z.ZodType, least = 0): z.ZodType {
  return listOf(item, Infinity, least);
}

export const tokens = a<number[]>("token ids: a list of whole numbers", (value: unknown) => isListOf(value, Number.isSafeInteger));
export const prompt = z.union([text, tokens], "expected a text, or its tokens");
export const indices = z.union([z.literal("all"), tokens], 'expected "all", or a list of whole numbers');
export const stops = { signal, onProgress: callback };

/** Structural checks: subclasses of our models are models, too. */
export const model = a<never>("a model, as returned by loadModel",
  (value: unknown) => has(value, "tokenise", "fingerprint") && isObject((value as { info?: unknown }).info));
export const tokeniser = a<never>("a model, as returned by loadModel",
  (value: unknown) => has(value, "tokenise") && isObject((value as { info?: unknown }).info));
export const classifier = a<never>("a classifier, as returned by loadClassifier",
  (value: unknown) => has(value, "classify", "fingerprint") && Array.isArray((value as { labels?: unknown }).labels));
export const embedder = a<never>("an embedding model, as returned by loadEmbedder",
  (value: unknown) => has(value, "embed", "fingerprint") && typeof (value as { width?: unknown }).width === "number");
export const translator = a<never>("a translator: { name, translate, dispose }", (value: unknown) => has(value, "translate", "dispose"));
export const evaluator = required({
  name: text, property: text.optional(), wanted: text.nullable(), config: anObject, versions: anObject, batchSize: number,
  evaluate: callback,
});

const row = required({ input: text, output: text });
export const group = required({ demonstrations: list(row), query: row });
export const messages = list(required({ role: text, content: text }));

export const float32s = a("Float32Array", (value: unknown) => isOfClass(value, /^\[object Float32Array\]$/));
/** Something with a name and a hash of its content. */
export const named = required({ name: text, hash: text });
export const sides = z.enum(["positive", "negative"]);

/** Whether JSON can represent a value: it has no cycle and no BigInt. */
export const isWritable = (value: unknown): boolean => {
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    return false;
  }
};
