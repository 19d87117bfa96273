import { writeFileSync } from "node:fs";
import { architectureNames } from "../support/llama-cpp.js";
import { measured, page } from "./table.js";

const all = architectureNames().map((name, index, { length }) => {
  const found = measured(name);
  console.log(`${index + 1}/${length} ${name}: ${found.reason ?? (found.wrong?.join("; ") || "as promised")}`);
  return found;
});
writeFileSync("docs/architectures.md", page(all));
