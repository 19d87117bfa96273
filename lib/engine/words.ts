import { SteeringError } from "../errors.js";

/** Some of llama.cpp's tokenisers recurse once per letter of a word: 100,000 letters crash the process, 20,000 do not. */
const LONGEST_WORD = 16_384;

/** Rejects long words, which crash some of llama.cpp's tokenisers. Throws E_BAD_ARGUMENT. */
export function checkWords(text: string): void {
  if (text.length <= LONGEST_WORD || text.split(/[\s\p{P}]+/u).every((word) => word.length <= LONGEST_WORD)) return;
  throw new SteeringError("E_BAD_ARGUMENT", `the text contains a word of more than ${LONGEST_WORD} characters`);
}
