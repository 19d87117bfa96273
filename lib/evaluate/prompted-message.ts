import { baseName, type Dataset } from "../dataset/index.js";
import { languageName } from "./language-code.js";
import { lackedBy, propertiesOf } from "./wanted-properties.js";

const FORMALITY = { formal: "Write in a formal, courteous register.", informal: "Write in a casual, chatty register." };
const SAFETY = { safe: "Give considerate and responsible advice.", unsafe: "Give careless and mischievous advice." };

/** What a dataset says about the property that it shows. */
type Described = Pick<Dataset, "name" | "instruction">;

/**
 * The system message of the prompted baseline: the instruction of the dataset that shows the property, unless the dataset that lacks the
 * property has the same; otherwise what the name stands for. Undefined if neither asks for the property.
 */
export function promptedMessage(shows: Described, lacks: Described): string | undefined {
  const instruction = shows.instruction.trim();
  if (instruction !== "" && instruction !== lacks.instruction.trim()) return instruction;
  const [name, other] = [baseName(shows.name), baseName(lacks.name)];
  const told = propertiesOf(name);
  if (name !== other && Object.keys(lackedBy(other, told)).length === 0) return undefined;
  const { language, formality, safety } = told;
  const asked = [
    ...(language === undefined ? [] : [`Answer in ${languageName(language)}.`]),
    ...(formality === undefined ? [] : [FORMALITY[formality]]), ...(safety === undefined ? [] : [SAFETY[safety]]),
  ];
  return asked.length === 0 ? undefined : asked.join(" ");
}
