import { SteeringError } from "../errors.js";

/** Whether an error concerns a single text that is too long or cannot be tokenised, rather than all texts. */
export function isOfText(error: unknown): boolean {
  return error instanceof SteeringError && (error.code === "E_CONTEXT_FULL" || error.code === "E_BAD_ARGUMENT");
}

/** Judge all texts at once or, if one of them is rejected, one by one. Empty and rejected texts give null. */
export async function judgeEach<Result>(
  texts: readonly string[],
  judge: (texts: readonly string[]) => Promise<Result[]>,
): Promise<Array<Result | null>> {
  const fit = texts.filter((text) => text.trim() !== "");
  const found: Array<Result | null> = fit.length === 0 ? [] : await judge(fit).catch(async (error: unknown) => {
    if (!isOfText(error)) throw error;
    const each: Array<Result | null> = [];
    for (const text of fit) each.push(await judge([text]).then(([only]) => only!, nullOfText));
    return each;
  });
  let next = 0;
  return texts.map((text) => (text.trim() === "" ? null : found[next++]!));
}

function nullOfText(error: unknown): null {
  if (!isOfText(error)) throw error;
  return null;
}
