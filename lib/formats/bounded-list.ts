import { z } from "zod";

/**
 * A list of a foreign file, refused at its first bad item, or for its length: `z.array` looks at every item and keeps an
 * issue for each, which for a million of them takes a gigabyte.
 */
export function listOf<Item extends z.ZodType>(item: Item, most: number, least = 0) {
  return z.unknown().transform((value, context): Array<z.output<Item>> => {
    const refuse = (message: string, path: PropertyKey[] = []): never => {
      context.addIssue({ code: "custom", message, path });
      return z.NEVER;
    };
    if (!Array.isArray(value)) return refuse("a list was expected");
    if (value.length < least || value.length > most) return refuse(`a list of ${least} to ${most} items was expected, one of ${value.length} found`);
    const items: Array<z.output<Item>> = [];
    for (const [index, each] of value.entries()) {
      const parsed = item.safeParse(each);
      if (!parsed.success) return refuse(parsed.error.issues[0]!.message, [index, ...parsed.error.issues[0]!.path]);
      items.push(parsed.data);
    }
    return items;
  });
}

/** No text has more tokens, nor steps of an answer: the largest context windows are of ten million. */
export const MAX_STEPS = 10_000_000;

/** A list of finite numbers, checked at once. */
export const numberList = z.custom<number[]>((value) => Array.isArray(value) && value.length <= MAX_STEPS && value.every(Number.isFinite), "a list of numbers was expected");
/** A list of whole numbers. */
export const integerList = z.custom<number[]>((value) => Array.isArray(value) && value.length <= MAX_STEPS && value.every(Number.isSafeInteger), "a list of whole numbers was expected");
