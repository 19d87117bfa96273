import { given } from "../arguments/index.js";
import { assertDataset } from "./dataset.js";

const shape = "a dataset, { name, instruction, rows: [{ input, output }] }; to load one, use loadDataset(name)";

/** Schema of a dataset as an argument of public functions. */
export const datasetArgument = given.a<never>(shape, (value: unknown) => {
  try {
    assertDataset(value, "");
    return true;
  } catch {
    return false;
  }
});
