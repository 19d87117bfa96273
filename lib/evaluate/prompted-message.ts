import type { Dataset } from "../dataset/index.js";
import { languageName } from "./language-code.js";
import { propertiesOf } from "./wanted-properties.js";

const FORMALITY = { formal: "Write in a formal, courteous register.", informal: "Write in a casual, chatty register." };
const SAFETY = { safe: "Give considerate and responsible advice.", unsafe: "Give careless and mischievous advice." };

/**
 * The system message of the prompted baseline: the instruction of the dataset that shows the property, which also stands before the
 * demonstrations; otherwise what the dataset's name stands for. Undefined if neither says what to ask for.
 */
export function promptedMessage({ name, instruction }: Pick<Dataset, "name" | "instruction">): string | undefined {
  if (instruction.trim() !== "") return instruction.trim();
  const { language, formality, safety } = propertiesOf(name);
  const asked = [
    ...(language === undefined ? [] : [`Answer in ${languageName(language)}.`]),
    ...(formality === undefined ? [] : [FORMALITY[formality]]), ...(safety === undefined ? [] : [SAFETY[safety]]),
  ];
  return asked.length === 0 ? undefined : asked.join(" ");
}
