export { Constraints, type Constraint } from "./constraint.js";
export { Vocabulary } from "./vocabulary.js";
