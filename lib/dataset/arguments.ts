import { given } from "../guard/index.js";
import { assertDataset } from "./dataset.js";

const shape = "a dataset, { name, instruction, rows: [{ input, output }] }; loadDataset(name) reads one";

/** A dataset, as argument of public functions. */
export const datasetArgument = given.a<never>(shape, (value: unknown) => {
  try {
    assertDataset(value, "");
    return true;
  } catch {
    return false;
  }
});
