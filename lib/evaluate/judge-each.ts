import { SteeringError } from "../errors.js";

/** Whether an error is about one text, which is too long or has a word that no tokeniser takes, and not about all. */
export function isOfText(error: unknown): boolean {
  return error instanceof SteeringError && (error.code === "E_CONTEXT_FULL" || error.code === "E_BAD_ARGUMENT");
}

/** Results of all texts at once; where one of them cannot be taken, of each by itself, null for those. Empty texts are null. */
export async function judgeEach<Result>(texts: readonly string[], judge: (texts: readonly string[]) => Promise<Result[]>): Promise<Array<Result | null>> {
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
