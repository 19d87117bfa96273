import type { Engine } from "../../engine/index.js";
import { generateText } from "../../generate/index.js";

/** As many answers at once as a CPU's batch has room for, and enough tokens to see their speed. */
const [AT_ONCE, TOKENS] = [32, 6];

/** Rows per second of decodes that are full, measured by unsteered answers. */
export async function rowsPerSecond(model: Engine): Promise<number> {
  const answer = async (): Promise<number> => {
    const prompt = model.tokenise("One, two, three,");
    return (await generateText(model, prompt, { maxNewTokens: TOKENS })).tokens.length;
  };
  await answer(); // what is prepared once does not count
  const begun = performance.now();
  const counts = await Promise.all(Array.from({ length: AT_ONCE }, answer));
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - begun) / 1000);
}
