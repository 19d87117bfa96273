import { z } from "zod";

/**
 * Schema of a list from an untrusted file, of `least` to `most` items; validation stops at the first bad item. `z.array` would
 * check every item and keep an issue for each, which takes a gigabyte for a million bad items.
 */
export function listOf<Item extends z.ZodType>(item: Item, most: number, least = 0) {
  return z.unknown().transform((value, context): Array<z.output<Item>> => {
    const refuse = (message: string, path: PropertyKey[] = []): never => {
      context.addIssue({ code: "custom", message, path });
      return z.NEVER;
    };
    if (!Array.isArray(value)) return refuse("expected a list");
    if (value.length < least || value.length > most) {
      return refuse(`the list has ${value.length} items; expected ${most === Infinity ? `at least ${least}` : `${least} to ${most}`}`);
    }
    const items: Array<z.output<Item>> = [];
    for (const [index, each] of value.entries()) {
      const parsed = item.safeParse(each);
      if (!parsed.success) return refuse(parsed.error.issues[0]!.message, [index, ...parsed.error.issues[0]!.path]);
      items.push(parsed.data);
    }
    return items;
  });
}

/** Upper limit for the tokens of a text and the steps of an answer: the largest context windows have ten million tokens. */
export const MAX_STEPS = 10_000_000;

const isListOf = (value: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length <= MAX_STEPS && value.every(isItem);

/** Schema of a list of finite numbers, with one check for the whole list. */
export const numberList = z.custom<number[]>((value) => isListOf(value, Number.isFinite), "expected a list of numbers");
/** Schema of a list of integers, with one check for the whole list. */
export const integerList = z.custom<number[]>((value) => isListOf(value, Number.isSafeInteger), "expected a list of whole numbers");
